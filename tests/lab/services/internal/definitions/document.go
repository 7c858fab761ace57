// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package definitions knows the shape of API definitions, classic and OAS, as the Dashboard keeps them.
package definitions

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Document is a JSON object. Numbers stay json.Number, so that what is stored is what was sent.
type Document = map[string]any

// Extension is the key of Tyk's part of an OAS document.
const Extension = "x-tyk-api-gateway"

// Decode reads exactly one JSON object.
func Decode(data []byte) (Document, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var document Document
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if document == nil {
		return nil, fmt.Errorf("not a JSON object: null")
	}
	if decoder.More() {
		return nil, fmt.Errorf("more than one JSON object")
	}
	return document, nil
}

// Clone returns a copy that shares nothing with the original.
func Clone(document Document) Document {
	if document == nil {
		return nil
	}
	data, err := json.Marshal(document)
	if err != nil {
		panic("a document that came from JSON does not go back to JSON: " + err.Error())
	}
	copied, err := Decode(data)
	if err != nil {
		panic("a document that came from JSON does not go back to JSON: " + err.Error())
	}
	return copied
}

// At walks down nested objects and returns nil where the way ends.
func At(document Document, path ...string) any {
	var value any = document
	for _, key := range path {
		object, ok := value.(Document)
		if !ok {
			return nil
		}
		value = object[key]
	}
	return value
}

// Object is At for an object.
func Object(document Document, path ...string) Document {
	object, _ := At(document, path...).(Document)
	return object
}

// Text is At for a string.
func Text(document Document, path ...string) string {
	text, _ := At(document, path...).(string)
	return text
}

// Flag is At for a boolean.
func Flag(document Document, path ...string) bool {
	flag, _ := At(document, path...).(bool)
	return flag
}
