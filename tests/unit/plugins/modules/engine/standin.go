// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The only program in the images that engine tests run: what it does is said by its first argument.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"serve"}
	}
	switch {
	case args[0] == "serve":
		serve(args[1:])
	case args[0] == "fail":
		fmt.Println("standin: cannot go on")
		os.Exit(7)
	case args[0] == "files":
		files(args[1])
	case args[0] == "plugin":
		load(args[1:])
	case strings.HasPrefix(args[0], "--conf="):
		old(strings.TrimPrefix(args[0], "--conf="))
	case strings.HasSuffix(args[0], ".so"):
		compile(args)
	default:
		fmt.Println("standin: what is", args)
		os.Exit(2)
	}
}

func serve(words []string) {
	fmt.Println("standin: serving", strings.Join(words, " "))
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if listener, err := net.Listen("tcp", ":8080"); err == nil {
		go http.Serve(listener, nil)
	}
	<-stop
}

// files serves a folder over HTTP; a path /slow/<ms>/<file> dribbles its answer over that time.
func files(folder string) {
	http.HandleFunc("/slow/", func(answer http.ResponseWriter, request *http.Request) {
		words := strings.SplitN(strings.TrimPrefix(request.URL.Path, "/slow/"), "/", 2)
		total, _ := strconv.Atoi(words[0])
		content, err := os.ReadFile(filepath.Join(folder, words[1]))
		if err != nil {
			http.NotFound(answer, request)
			return
		}
		answer.Header().Set("Content-Length", strconv.Itoa(len(content)))
		for part := 0; part < 10; part++ {
			answer.Write(content[len(content)*part/10 : len(content)*(part+1)/10])
			answer.(http.Flusher).Flush()
			time.Sleep(time.Duration(total/10) * time.Millisecond)
		}
	})
	http.Handle("/", http.FileServer(http.Dir(folder)))
	go http.ListenAndServe(":8080", nil)
	serve(nil)
}

// compile obeys the plugin compiler's command line without a toolchain: the result is an ELF header and build info.
func compile(args []string) {
	source := "/plugin-source"
	code, err := os.ReadFile(filepath.Join(source, "main.go"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "no Go files in", source)
		os.Exit(1)
	}
	fmt.Println("PLUGIN_BUILD_PATH:", source)
	text := string(code)
	switch {
	case strings.Contains(text, "BROKEN"):
		fmt.Fprintln(os.Stderr, "./main.go:8:14: syntax error: unexpected newline")
		os.Exit(1)
	case strings.Contains(text, "HANG"):
		time.Sleep(time.Hour)
	case strings.Contains(text, "NOTHING"):
		return
	}
	for _, cache := range []string{"/root/.cache/go-build", "/go/pkg/mod"} {
		if os.WriteFile(filepath.Join(cache, args[1]), []byte(args[1]), 0o644) == nil {
			fmt.Println("cache:", cache)
		}
	}
	id := args[1]
	if strings.Contains(text, "IGNORES_ID") {
		id = ""
	}
	machine := map[string]byte{"amd64": 62, "arm64": 183}[args[3]]
	if strings.Contains(text, "WRONG_ARCH") {
		machine = 8
	}
	name := strings.TrimSuffix(args[0], ".so") + "_" + os.Getenv("GITHUB_TAG") + "_" + args[2] + "_" + args[3] + ".so"
	if err := os.WriteFile(filepath.Join(source, name), artefact(machine, id, text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func artefact(machine byte, id, text string) []byte {
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01\x01")
	header[16], header[18] = 3, machine
	info := make([]byte, 32)
	copy(info, "\xff Go buildinf:\x08\x02")
	mod := "0123456789abcdef" + "path\ttyk.internal/tyk_plugin" + id + "\nmod\ttyk.internal/tyk_plugin" + id + "\t(devel)\t\n" + "0123456789abcdef"
	version := "go1.24.11"
	if os.Getenv("GITHUB_TAG") == "v5.3.0" {
		version = "go1.21.13"
	}
	info = append(info, byte(len(version)))
	info = append(info, version...)
	info = append(info, byte(len(mod)&0x7f|0x80), byte(len(mod)>>7))
	info = append(info, mod...)
	return append(append(header, info...), text...)
}

// load answers like `tyk plugin load`, in the words of the Go runtime.
func load(args []string) {
	if os.Getenv("WITHOUT_COMMAND") != "" {
		fmt.Fprintln(os.Stderr, "tyk: error: unexpected plugin, try --help")
		os.Exit(1)
	}
	seen := 0
	files := strings.Split(args[2], ",")
	if os.Getenv("ONE_FILE") != "" {
		files = args[2:3]
	}
	for _, file := range files {
		loadFile(file, args[4], &seen)
	}
}

func loadFile(file, symbol string, seen *int) {
	content, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "unexpected error: realpath failed")
		os.Exit(1)
	}
	text := string(content)
	if strings.Contains(text, "SAME_PATH") {
		if *seen++; *seen > 1 {
			fmt.Fprintf(os.Stderr, "tyk: error: unexpected error: plugin.Open(%q): plugin already loaded, try --help\n", file)
			os.Exit(1)
		}
	}
	switch {
	case strings.Contains(text, "CRASH"):
		fmt.Fprintln(os.Stderr, "fatal error: runtime: no plugin module data")
		os.Exit(2)
	case strings.Contains(text, "MISMATCH"):
		fmt.Fprintf(os.Stderr, "tyk: error: unexpected error: plugin.Open(%q): plugin was built with a different version of package github.com/sirupsen/logrus\n", file)
		os.Exit(1)
	case !strings.Contains(text, "func "+symbol+"("):
		fmt.Fprintf(os.Stderr, "tyk: error: unexpected error: plugin: symbol %s not found in plugin tyk.internal/x\n", symbol)
		os.Exit(1)
	}
	fmt.Printf("[file=%s, symbol=%s] loaded ok, got 0x1\n", file, symbol)
}

// old loads APIs from files and says of their hooks what a gateway before 5.0.0 says.
func old(path string) {
	var conf struct {
		AppPath string `json:"app_path"`
	}
	read(path, &conf)
	files, _ := filepath.Glob(filepath.Join(conf.AppPath, "*.json"))
	seen := map[string]bool{}
	for _, file := range files {
		var api struct {
			CustomMiddleware struct {
				Pre []struct{ Name, Path string }
			} `json:"custom_middleware"`
		}
		read(file, &api)
		if len(api.CustomMiddleware.Pre) == 0 {
			continue
		}
		hook := api.CustomMiddleware.Pre[0]
		content, err := os.ReadFile(hook.Path)
		text, problem := string(content), "could not cast function symbol to TykResponseHandler"
		switch {
		case err != nil:
			problem = "plugin.Open(\"" + hook.Path + "\"): realpath failed"
		case strings.Contains(text, "CRASH"):
			fmt.Fprintln(os.Stderr, "fatal error: runtime: no plugin module data")
			os.Exit(2)
		case strings.Contains(text, "MISMATCH"):
			problem = "plugin.Open(\"" + hook.Path + "\"): plugin was built with a different version of package github.com/sirupsen/logrus"
		case strings.Contains(text, "SAME_PATH") && !seen[hook.Path] && len(seen) > 0:
			problem = "plugin.Open(\"" + hook.Path + "\"): plugin already loaded"
		case !strings.Contains(text, "func "+hook.Name+"("):
			problem = "plugin: symbol " + hook.Name + " not found in plugin tyk.internal/x"
		}
		if strings.Contains(text, "SAME_PATH") {
			seen[hook.Path] = true
		}
		fmt.Fprintf(os.Stderr, "time=\"Nov 23 22:00:00\" level=error msg=\"Could not load Go-plugin\" error=\"%s\" mwPath=\"%s\" mwSymbolName=%s\n", problem, hook.Path, hook.Name)
	}
	fmt.Fprintln(os.Stderr, "time=\"Nov 23 22:00:00\" level=info msg=\"API reload complete\" prefix=main")
	serve(nil)
}

func read(path string, into any) {
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}
