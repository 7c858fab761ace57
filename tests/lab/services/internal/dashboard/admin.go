// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"

	"tyk.upgrade/lab/internal/definitions"
	"tyk.upgrade/lab/internal/meter"
	"tyk.upgrade/lab/internal/store"
)

// Nodes lists the clients that have logged in over RPC.
type Nodes interface{ List() any }

// Admin serves the lab's own administration: meters, seed, reset, logged-in nodes.
func Admin(s *store.Store, m *meter.Meter, nodes Nodes) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /meter", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, m.Read())
	})
	mux.HandleFunc("GET /nodes", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"nodes": nodes.List()})
	})
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		if err := m.Reset(); err != nil {
			fail(w, http.StatusInternalServerError, "Cannot reset the meter: "+err.Error())
			return
		}
		reply(w, http.StatusOK, status{Status: "OK", Message: "Meter reset"})
	})
	mux.HandleFunc("POST /seed", func(w http.ResponseWriter, r *http.Request) { seed(s, w, r) })
	return mux
}

type seedBody struct {
	Replace *bool       `json:"replace"`
	APIs    []store.API `json:"apis"`
}

func seed(s *store.Store, w http.ResponseWriter, r *http.Request) {
	document, ok := body(w, r)
	if !ok {
		return
	}
	wanted, err := parseSeed(document)
	if err != nil {
		fail(w, http.StatusBadRequest, "Seed is not valid: "+err.Error())
		return
	}
	changed, err := s.Seed(wanted.APIs, wanted.Replace == nil || *wanted.Replace)
	if err != nil {
		fail(w, http.StatusInternalServerError, "Cannot seed: "+err.Error())
		return
	}
	reply(w, http.StatusOK, status{Status: "OK", Message: "Seeded", Meta: map[string]int{"apis": len(wanted.APIs), "changed": changed}})
}

var databaseID = regexp.MustCompile("^[0-9a-f]{24}$")

func checkSeed(apis []store.API) string {
	seen := map[string]bool{}
	for _, api := range apis {
		id, dbID, problem := api.ID(), api.DBID(), ""
		switch {
		case api.IsOAS():
			problem = definitions.CheckOAS(api.OAS, false)
			id = definitions.Text(api.OAS, definitions.Extension, "info", "id")
			dbID = definitions.Text(api.OAS, definitions.Extension, "info", "dbId")
		case api.Definition != nil:
			problem = definitions.CheckClassic(api.Definition, false)
		default:
			problem = "an API has neither api_definition nor oas"
		}
		switch {
		case problem != "":
			return "API " + id + ": " + problem
		case id == "":
			return "an API has no id"
		case dbID != "" && !databaseID.MatchString(dbID):
			return "API " + id + ": database id " + dbID + " is not 24 hex digits"
		case seen[id]:
			return "API " + id + " is there twice"
		}
		seen[id] = true
	}
	return ""
}

func parseSeed(document definitions.Document) (seedBody, error) {
	var wanted seedBody
	data, err := json.Marshal(document)
	if err != nil {
		return wanted, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wanted); err != nil {
		return wanted, err
	}
	if problem := checkSeed(wanted.APIs); problem != "" {
		return wanted, errors.New(problem)
	}
	return wanted, nil
}

// SeedFile stores the APIs of a seed file.
func SeedFile(s *store.Store, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the seed: %w", err)
	}
	document, err := definitions.Decode(data)
	if err != nil {
		return fmt.Errorf("seed %s: %w", path, err)
	}
	wanted, err := parseSeed(document)
	if err != nil {
		return fmt.Errorf("seed %s is not valid: %w", path, err)
	}
	_, err = s.Seed(wanted.APIs, true)
	return err
}
