// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package dashboard answers the part of the Dashboard REST API that an upgrade needs, and the lab's
// own administration.
package dashboard

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tyk.upgrade/lab/internal/definitions"
	"tyk.upgrade/lab/internal/store"
)

const maxBody = 16 << 20

// Options of the Dashboard API.
type Options struct {
	Token         string // may read and write
	ReadOnlyToken string // may read; a write is answered 403
	PageSize      int
	Delay         time.Duration // added to every answer of /api
}

type server struct {
	store   *store.Store
	options Options
}

// Handler serves the Dashboard API.
func Handler(s *store.Store, options Options) http.Handler {
	if options.PageSize <= 0 {
		options.PageSize = 10
	}
	d := &server{store: s, options: options}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /api/apis", d.read(d.list))
	mux.HandleFunc("GET /api/apis/{id}", d.read(d.getClassic))
	mux.HandleFunc("PUT /api/apis/{id}", d.write(d.putClassic))
	mux.HandleFunc("GET /api/apis/oas/{id}", d.read(d.getOAS))
	mux.HandleFunc("GET /api/apis/oas/{id}/export", d.read(d.getOAS))
	mux.HandleFunc("PUT /api/apis/oas/{id}", d.write(d.putOAS))
	mux.HandleFunc("/api/", d.read(func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "Not found: "+r.Method+" "+r.URL.Path+" is no part of this stand-in")
	}))
	return mux
}

func (d *server) read(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d.options.Delay)
		if !d.mayWrite(r) && !sameToken(r, d.options.ReadOnlyToken) {
			fail(w, http.StatusUnauthorized, "Not authorised")
			return
		}
		next(w, r)
	}
}

func (d *server) write(next http.HandlerFunc) http.HandlerFunc {
	return d.read(func(w http.ResponseWriter, r *http.Request) {
		if !d.mayWrite(r) {
			fail(w, http.StatusForbidden, "Access denied: permission apis:write is missing")
			return
		}
		next(w, r)
	})
}

func (d *server) mayWrite(r *http.Request) bool { return sameToken(r, d.options.Token) }

// The key stands in the header as it is, without a scheme.
func sameToken(r *http.Request, token string) bool {
	given := r.Header.Get("Authorization")
	return token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

// item is one entry of the list, and the wrapper of a classic definition.
type item struct {
	store.API
	APIModel struct{} `json:"api_model"`
}

func (d *server) list(w http.ResponseWriter, r *http.Request) {
	page := 1
	if text := r.URL.Query().Get("p"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil {
			fail(w, http.StatusBadRequest, "p is not a number: "+text)
			return
		}
		page = number
	}
	apis := d.store.List()
	apis = filter(apis, r.URL.Query().Get("q"), r.URL.Query().Get("api_type"))
	pages := (len(apis) + d.options.PageSize - 1) / d.options.PageSize
	if page > 0 {
		first := min((page-1)*d.options.PageSize, len(apis))
		apis = apis[first:min(first+d.options.PageSize, len(apis))]
	}
	items := make([]item, 0, len(apis))
	for _, api := range apis {
		items = append(items, item{API: api})
	}
	reply(w, http.StatusOK, map[string]any{"apis": items, "pages": pages})
}

func filter(apis []store.API, query, kind string) []store.API {
	kept := apis[:0]
	for _, api := range apis {
		name := strings.ToLower(definitions.Text(api.Definition, "name"))
		if query != "" && !strings.Contains(name, strings.ToLower(query)) {
			continue
		}
		if (kind == "oas" && !api.IsOAS()) || (kind == "classic" && api.IsOAS()) {
			continue
		}
		kept = append(kept, api)
	}
	return kept
}

func (d *server) getClassic(w http.ResponseWriter, r *http.Request) {
	api, err := d.store.Get(r.PathValue("id"))
	if err != nil {
		failWith(w, err)
		return
	}
	reply(w, http.StatusOK, item{API: api})
}

func (d *server) getOAS(w http.ResponseWriter, r *http.Request) {
	api, err := d.store.Get(r.PathValue("id"))
	if err != nil {
		failWith(w, err)
		return
	}
	if !api.IsOAS() {
		fail(w, http.StatusBadRequest, "API is a Tyk Classic API: the OAS endpoint has no document of it")
		return
	}
	if strings.HasSuffix(r.URL.Path, "/export") {
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", api.ID()+".json"))
	}
	reply(w, http.StatusOK, api.OAS)
}

// putClassic takes the whole wrapper. What is left out is gone, ownership and hooks included.
func (d *server) putClassic(w http.ResponseWriter, r *http.Request) {
	wrapper, ok := body(w, r)
	if !ok {
		return
	}
	additional := r.URL.Query().Get("accept_additional_properties") == "true"
	updated, err := d.store.Update(r.PathValue("id"), func(before store.API) (store.API, error) {
		if before.IsOAS() {
			return store.API{}, invalid("API is an OAS API: the Tyk Classic endpoint does not update it, use /api/apis/oas/" + before.ID())
		}
		definition := definitions.Object(wrapper, "api_definition")
		if definition == nil {
			return store.API{}, invalid("Malformed body: api_definition is missing, the whole wrapper is expected")
		}
		if !additional {
			if unknown := definitions.UnknownWrapperKeys(wrapper); unknown != "" {
				return store.API{}, invalid("Additional property " + unknown + " is not allowed")
			}
		}
		if problem := definitions.CheckClassic(definition, additional); problem != "" {
			return store.API{}, invalid("API definition is not valid: " + problem)
		}
		if err := sameIDs(before, definitions.Text(definition, "api_id"), definitions.Text(definition, "id")); err != nil {
			return store.API{}, err
		}
		var after store.API
		data, err := json.Marshal(wrapper)
		if err == nil {
			err = json.Unmarshal(data, &after)
		}
		if err != nil {
			return store.API{}, invalid("Malformed body: " + err.Error())
		}
		after.Definition, after.OAS = definition, nil
		after.Categories = before.Categories // they have an endpoint of their own
		return after, nil
	})
	d.answerUpdate(w, updated, err)
}

func (d *server) putOAS(w http.ResponseWriter, r *http.Request) {
	document, ok := body(w, r)
	if !ok {
		return
	}
	additional := r.URL.Query().Get("accept_additional_properties") == "true"
	updated, err := d.store.Update(r.PathValue("id"), func(before store.API) (store.API, error) {
		if !before.IsOAS() {
			return store.API{}, invalid("API is a Tyk Classic API: the OAS endpoint does not update it")
		}
		if problem := definitions.CheckOAS(document, additional); problem != "" {
			return store.API{}, invalid("OAS document is not valid: " + problem)
		}
		info := definitions.Object(document, definitions.Extension, "info")
		if err := sameIDs(before, definitions.Text(info, "id"), definitions.Text(info, "dbId")); err != nil {
			return store.API{}, err
		}
		after := before
		after.OAS = document
		return after, nil
	})
	d.answerUpdate(w, updated, err)
}

func sameIDs(before store.API, id, dbID string) error {
	if id != "" && id != before.ID() {
		return invalid(fmt.Sprintf("Request APIID %s does not match that in the definition %s", before.ID(), id))
	}
	if dbID != "" && dbID != before.DBID() {
		return invalid(fmt.Sprintf("Request database id %s does not match that in the definition %s", before.DBID(), dbID))
	}
	return nil
}

func (d *server) answerUpdate(w http.ResponseWriter, api store.API, err error) {
	if err != nil {
		failWith(w, err)
		return
	}
	reply(w, http.StatusOK, status{Status: "OK", Message: "API updated", Meta: api.DBID()})
}

type status struct {
	Status  string `json:"Status"`
	Message string `json:"Message"`
	Meta    any    `json:"Meta"`
}

type invalid string

func (i invalid) Error() string { return string(i) }

func body(w http.ResponseWriter, r *http.Request) (definitions.Document, bool) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, http.StatusBadRequest, "Cannot read the body: "+err.Error())
		return nil, false
	}
	document, err := definitions.Decode(data)
	if err != nil {
		fail(w, http.StatusBadRequest, "Malformed body: "+err.Error())
		return nil, false
	}
	return document, true
}

func failWith(w http.ResponseWriter, err error) {
	var bad invalid
	switch {
	case errors.Is(err, store.ErrNotFound):
		fail(w, http.StatusNotFound, "API not found")
	case errors.As(err, &bad):
		fail(w, http.StatusBadRequest, bad.Error())
	default:
		fail(w, http.StatusInternalServerError, "Cannot store the API: "+err.Error())
	}
}

func fail(w http.ResponseWriter, code int, message string) {
	reply(w, code, status{Status: "Error", Message: message})
}

func reply(w http.ResponseWriter, code int, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n'))
}
