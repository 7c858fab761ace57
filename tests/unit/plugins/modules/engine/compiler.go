// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// A plugin compiler without a toolchain: it obeys the command line of the real one, prints what it was given, and does
// what words in main.go say. Called as strip, it takes the padding off its own results.
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

const source = "/plugin-source"

var padding = make([]byte, 1<<20)

func main() {
	if strings.HasSuffix(os.Args[0], "strip") {
		strip(os.Args[2], os.Args[3])
		return
	}
	code, err := os.ReadFile(filepath.Join(source, "main.go"))
	check(err)
	text := string(code)
	tell()
	if _, words, found := strings.Cut(text, "SAY: "); found {
		fmt.Fprintln(os.Stderr, strings.SplitN(words, "\n", 2)[0])
		os.Exit(1)
	}
	if strings.Contains(text, "SLOW") {
		time.Sleep(700 * time.Millisecond)
	}
	if strings.Contains(text, "PATIENT") {
		fmt.Print("\x1b[31mthe first\n")
		time.Sleep(5 * time.Second)
		fmt.Println("the last")
	}
	if strings.Contains(text, "EAT") {
		eaten := make([]byte, 2<<30)
		for place := 0; place < len(eaten); place += 4096 {
			eaten[place] = 1
		}
	}
	if strings.Contains(text, "HANG") {
		time.Sleep(time.Hour)
	}
	check(os.WriteFile(filepath.Join(source, result()), artefact(text), 0o644))
}

// result is the name that the compiler of a version gives: that of its GITHUB_TAG, 5.3.0 if it has none. Those up to 4.0
// have no arguments for a platform, and take the name that they are given.
func result() string {
	if len(os.Args) < 5 {
		return os.Args[1]
	}
	tag, found := os.LookupEnv("GITHUB_TAG")
	if !found {
		tag = "v5.3.0"
	}
	return strings.TrimSuffix(os.Args[1], ".so") + "_" + tag + "_" + os.Args[3] + "_" + os.Args[4] + ".so"
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tell() {
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GOFLAGS", "GOTOOLCHAIN", "CC", "CGO_ENABLED", "GOARCH"} {
		fmt.Printf("%s=%s\n", name, os.Getenv(name))
	}
	interfaces, _ := net.Interfaces()
	fmt.Printf("interfaces: %d\n", len(interfaces))
	fmt.Println("module cache:", os.WriteFile("/go/pkg/mod/probe", nil, 0o644))
	for _, root := range []string{"/tmp/tyk-upgrade-modules", "/go/pkg/mod", source} {
		var found []string
		filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				found = append(found, path)
			}
			return nil
		})
		sort.Strings(found)
		fmt.Println(root+":", strings.Join(found, " "))
	}
	if content, err := os.ReadFile(filepath.Join(source, "go.mod")); err == nil {
		fmt.Println(strings.ReplaceAll(string(content), "\n", "|"))
	}
}

// artefact is an ELF header with build information. Lines "DEP: module version" in the source become its modules.
func artefact(text string) []byte {
	machine := byte(62)
	if len(os.Args) > 4 && os.Args[4] == "arm64" {
		machine = 183
	}
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01\x01")
	header[16], header[18] = 3, machine
	path := "tyk.internal/tyk_plugin" + os.Args[2]
	module := "path\t" + path + "\nmod\t" + path + "\t(devel)\t\n"
	for _, line := range strings.Split(text, "\n") {
		if _, words, found := strings.Cut(line, "DEP: "); found {
			module += "dep\t" + strings.ReplaceAll(words, " ", "\t") + "\t\n"
		}
	}
	version := "go1.21.13"
	if strings.Contains(text, "OTHER_GO") {
		version = "go1.22.5"
	}
	info := append(make([]byte, 0, 4096), "\xff Go buildinf:\x08\x02"...)
	info = append(info, make([]byte, 16)...)
	info = append(append(info, byte(len(version))), version...)
	module = "0123456789abcdef" + module + "0123456789abcdef"
	info = append(append(info, byte(len(module)&0x7f|0x80), byte(len(module)>>7)), module...)
	return append(append(append(header, info...), text...), padding...)
}

func strip(target, from string) {
	content, err := os.ReadFile(from)
	check(err)
	check(os.WriteFile(target, content[:len(content)-len(padding)], 0o644))
}
