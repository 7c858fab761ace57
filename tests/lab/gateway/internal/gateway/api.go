// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/TykTechnologies/tyk/apidef"
	"github.com/TykTechnologies/tyk/ctx"
	"github.com/TykTechnologies/tyk/internal/goplugin"
	"github.com/TykTechnologies/tyk/user"
)

type route struct {
	prefix string
	api    *api
}

// routes is one generation of APIs; a reload replaces all of it at once.
type routes struct{ list []route }

func newRoutes(apis []*api) *routes {
	all := &routes{}
	for _, one := range apis {
		all.list = append(all.list, route{one.definition.Proxy.ListenPath, one})
		if one.gateway.behaviour.RouteByID {
			all.list = append(all.list, route{"/" + one.definition.APIID + "/", one})
		}
	}
	sortRoutes(all.list)
	return all
}

// byID is the API with that id, nil if there is none.
func (r *routes) byID(id string) *api {
	for _, one := range r.list {
		if one.api.definition.APIID == id {
			return one.api
		}
	}
	return nil
}

func (r *routes) find(path string) (*api, string) {
	for _, one := range r.list {
		if strings.HasPrefix(path, one.prefix) || path == strings.TrimSuffix(one.prefix, "/") {
			return one.api, one.prefix
		}
	}
	return nil, ""
}

// step handles a request, or refuses it: then it says how.
type step func(w *answer, r *http.Request) error

// refusal is an error with its HTTP status.
type refusal struct {
	code int
	text string
}

func (r refusal) Error() string { return r.text }

// errAnswered ends the chain: a plugin has answered.
var errAnswered = errors.New("answered")

// panicked is what a plugin's function said as it panicked.
type panicked string

func (p panicked) Error() string { return string(p) }

var errSkippedByServer = refusal{http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError)}

// api is an API in service.
type api struct {
	gateway    *Gateway
	definition *apidef.APIDefinition
	checksum   [sha256.Size]byte
	steps      []step
	proxy      *httputil.ReverseProxy
}

type proxyKey struct{}

// trip is what the proxy tells of a request that went upstream.
type trip struct {
	prefix string
	path   string
	begun  time.Time
	took   time.Duration
}

func (g *Gateway) newAPI(definition *apidef.APIDefinition, directory string) (*api, error) {
	target, err := url.Parse(definition.Proxy.TargetURL)
	if err != nil {
		return nil, err
	}
	one := &api{gateway: g, definition: definition}
	one.proxy = &httputil.ReverseProxy{
		Transport:     g.transport,
		FlushInterval: 100 * time.Millisecond,
		Director:      func(r *http.Request) { one.direct(r, target) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			mainLog().WithError(err).WithField("api_id", definition.APIID).Error("http: proxy error")
			fail(w, http.StatusInternalServerError, "There was a problem proxying the request")
		},
	}
	one.chain(directory)
	return one, nil
}

// chain puts the hooks in their order: pre, authentication, post_key_auth, post; response hooks
// after the upstream.
func (a *api) chain(directory string) {
	section, isGo := a.definition.CustomMiddleware, a.definition.CustomMiddleware.Driver == "goplugin"
	hooks := func(list []apidef.MiddlewareDefinition) {
		for _, hook := range list {
			if isGo && !hook.Disabled && hook.Name != "" {
				a.steps = append(a.steps, a.hook(hook, directory))
			}
		}
	}
	hooks(section.Pre)
	if !a.definition.UseKeylessAccess {
		a.steps = append(a.steps, a.authentication(section, isGo, directory)...)
		hooks(section.PostKeyAuth)
	}
	hooks(section.Post)

	var after []goplugin.Response
	for _, hook := range section.Response {
		if !hook.Disabled && strings.HasSuffix(hook.Path, ".so") {
			b := a.gateway.behaviour
			after = append(after, goplugin.LoadResponse(filepath.Join(directory, hook.Path), hook.Name, b.Reported, b.ResponseFiles))
		}
	}
	if len(after) > 0 {
		a.proxy.ModifyResponse = a.responseHooks(after)
	}
}

func (a *api) responseHooks(after []goplugin.Response) func(*http.Response) error {
	return func(response *http.Response) error {
		for _, function := range after {
			// One that is nil is called all the same; of any panic the gateway recovers, and has no status but this one.
			if guarded(func() { function(&headerOnly{response.Header}, response, response.Request) }) != nil {
				response.StatusCode = http.StatusInternalServerError
			}
		}
		return nil
	}
}

// guarded runs a plugin's function and makes an error of its panic.
func guarded(call func()) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = panicked(fmt.Sprint(problem))
			mainLog().WithError(err).Error("Recovered from panic while running Go-plugin middleware func")
		}
	}()
	call()
	return nil
}

// headerOnly lets a response hook set headers by its writer.
type headerOnly struct{ header http.Header }

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (h *headerOnly) WriteHeader(int)             {}

func (a *api) hook(definition apidef.MiddlewareDefinition, directory string) step {
	b := a.gateway.behaviour
	function := goplugin.LoadRequest(filepath.Join(directory, definition.Path), definition.Name, b.Reported, b.Files)
	return func(w *answer, r *http.Request) error {
		if function == nil {
			if b.MissingHandler500 {
				return errSkippedByServer
			}
			return nil
		}
		if err := guarded(func() { function(w, r) }); err != nil {
			return err
		}
		if w.code != 0 {
			return errAnswered
		}
		return nil
	}
}

// authentication is the plugin's where the definition says so, else the gateway's own key check.
func (a *api) authentication(section apidef.MiddlewareSection, isGo bool, directory string) []step {
	byPlugin := a.definition.UseGoPluginAuth
	if a.gateway.behaviour.AnyAuthFlag {
		byPlugin = byPlugin || a.definition.CustomPluginAuthEnabled || a.definition.EnableCoProcessAuth
	}
	if !byPlugin {
		return []step{a.keyCheck}
	}
	var steps []step
	if isGo && section.AuthCheck.Name != "" && !section.AuthCheck.Disabled {
		steps = append(steps, a.hook(section.AuthCheck, directory))
	}
	return append(steps, sessionCheck)
}

func sessionCheck(_ *answer, r *http.Request) error {
	session := ctx.GetSession(r)
	switch {
	case session == nil:
		return refusal{http.StatusBadRequest, "Session state is missing or unset! Please make sure that auth headers are properly applied"}
	case session.IsInactive:
		return refusal{http.StatusForbidden, "Key is inactive, please renew"}
	case session.IsExpired():
		return refusal{http.StatusUnauthorized, "Key has expired, please renew"}
	}
	return nil
}

func (a *api) keyCheck(_ *answer, r *http.Request) error {
	key := strings.TrimPrefix(r.Header.Get(a.definition.AuthHeader()), "Bearer ")
	if key == "" {
		return refusal{http.StatusUnauthorized, "Authorization field missing"}
	}
	refused := refusal{http.StatusForbidden, "Access to this API has been disallowed"}
	if a.gateway.rpc == nil {
		return refused
	}
	text, err := a.gateway.rpc.Key("apikey-" + key)
	if err != nil {
		return refused
	}
	session := user.NewSessionState()
	if json.Unmarshal([]byte(text), session) != nil {
		return refused
	}
	session.KeyID = key
	ctx.SetSession(r, session, false)
	return sessionCheck(nil, r)
}

// answer remembers the status, so that a plugin's own answer is noticed.
type answer struct {
	http.ResponseWriter
	code int
}

func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(data []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(data)
}

func (a *answer) Flush() {
	if flusher, ok := a.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

func (a *api) serve(w http.ResponseWriter, r *http.Request, prefix string) {
	writer, way := &answer{ResponseWriter: w}, &trip{prefix: prefix, path: r.URL.Path}
	begun := time.Now()
	var broken panicked
	ctx.SetDefinition(r, a.definition)
	if err := a.run(writer, r); err == nil {
		request := r.WithContext(context.WithValue(r.Context(), proxyKey{}, way))
		way.begun = time.Now()
		a.proxy.ServeHTTP(writer, request)
		way.took = time.Since(way.begun)
	} else if errors.Is(err, errAnswered) {
		if a.gateway.behaviour.ErrorTwice && writer.code >= http.StatusBadRequest {
			_, _ = writer.Write(errorText(fmt.Sprintf("plugin function sent error response code: %d", writer.code)))
		}
	} else if errors.As(err, &broken) {
		if a.gateway.behaviour.ErrorTwice {
			fail(writer, http.StatusInternalServerError, err.Error())
		}
		writer.code = http.StatusInternalServerError // as analytics have it; an unwritten answer is 200 to the client
	} else {
		var refused refusal
		if !errors.As(err, &refused) {
			refused = errSkippedByServer
		}
		fail(writer, refused.code, refused.text)
	}
	a.gateway.analytics.Hit(a.definition, r, way.path, writer.code, ctx.GetAuthToken(r), begun, way.took)
}

func (a *api) run(w *answer, r *http.Request) error {
	for _, one := range a.steps {
		if err := one(w, r); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) direct(r *http.Request, target *url.URL) {
	way, _ := r.Context().Value(proxyKey{}).(*trip)
	path := r.URL.Path
	if way != nil && (a.definition.Proxy.StripListenPath || way.prefix != a.definition.Proxy.ListenPath) {
		path = strings.TrimPrefix(path, strings.TrimSuffix(way.prefix, "/"))
		way.path = "/" + strings.TrimPrefix(path, "/")
	}
	r.URL.Scheme, r.URL.Host = target.Scheme, target.Host
	r.URL.Path = strings.TrimSuffix(target.Path, "/") + "/" + strings.TrimPrefix(path, "/")
	r.URL.RawPath = ""
	if !a.definition.Proxy.PreserveHostHeader {
		r.Host = target.Host
	}
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header.Set("User-Agent", "Tyk/"+a.gateway.behaviour.Reported)
	}
}

func fail(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Generator", "tyk.io")
	w.WriteHeader(code)
	_, _ = w.Write(errorText(text))
}

func errorText(text string) []byte {
	data, _ := json.MarshalIndent(map[string]string{"error": text}, "", "    ")
	return data
}
