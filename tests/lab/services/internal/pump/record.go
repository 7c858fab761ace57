// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package pump

import (
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// jsonNames translates the fields of a gateway's record into what is sent on. A gateway of another
// version may have more fields or fewer: what has no name here keeps its own.
var jsonNames = map[string]string{
	"Method": "method", "Host": "host", "Path": "path", "RawPath": "raw_path", "ContentLength": "content_length",
	"UserAgent": "user_agent", "Day": "day", "Month": "month", "Year": "year", "Hour": "hour", "ResponseCode": "response_code",
	"APIKey": "api_key", "TimeStamp": "timestamp", "APIVersion": "api_version", "APIName": "api_name", "APIID": "api_id",
	"OrgID": "org_id", "OauthID": "oauth_id", "RequestTime": "request_time", "RawRequest": "raw_request",
	"RawResponse": "raw_response", "IPAddress": "ip_address", "Geo": "geo", "Network": "network", "Latency": "latency",
	"Tags": "tags", "Alias": "alias", "TrackPath": "track_path", "ExpireAt": "expireAt", "ApiSchema": "api_schema",
	"GraphQLStats": "graphql_stats",
	// members of geo, network and latency
	"Country": "country", "City": "city", "Location": "location", "ISOCode": "iso_code", "GeoNameID": "geoname_id", "Names": "names",
	"Latitude": "latitude", "Longitude": "longitude", "TimeZone": "time_zone", "OpenConnections": "open_connections",
	"ClosedConnection": "closed_connections", "BytesIn": "bytes_in", "BytesOut": "bytes_out", "Total": "total", "Upstream": "upstream",
}

var translated = map[string]bool{"Geo": true, "Country": true, "City": true, "Location": true, "Network": true, "Latency": true}

// Decode reads one record as a gateway wrote it and names its fields as they are sent on.
func Decode(data string) (map[string]any, error) {
	var record map[string]any
	if err := msgpack.Unmarshal([]byte(data), &record); err != nil {
		return nil, err
	}
	delete(record, "CollectionName")
	for _, field := range []string{"TimeStamp", "ExpireAt"} {
		if moment, ok := asTime(record[field]); ok {
			record[field] = moment
		}
	}
	return rename(record), nil
}

func rename(fields map[string]any) map[string]any {
	named := make(map[string]any, len(fields))
	for name, value := range fields {
		if inner, ok := value.(map[string]any); ok && translated[name] {
			value = rename(inner)
		}
		if other, ok := jsonNames[name]; ok {
			name = other
		}
		named[name] = value
	}
	return named
}

// asTime reads the older form of a time, [seconds, nanoseconds].
func asTime(value any) (time.Time, bool) {
	pair, ok := value.([]any)
	if !ok || len(pair) != 2 {
		return time.Time{}, false
	}
	seconds, ok := asInt(pair[0])
	if !ok {
		return time.Time{}, false
	}
	nanoseconds, ok := asInt(pair[1])
	return time.Unix(seconds, nanoseconds).UTC(), ok
}

func asInt(value any) (int64, bool) {
	switch number := value.(type) {
	case int8:
		return int64(number), true
	case int16:
		return int64(number), true
	case int32:
		return int64(number), true
	case int64:
		return number, true
	case uint8:
		return int64(number), true
	case uint16:
		return int64(number), true
	case uint32:
		return int64(number), true
	case uint64:
		return int64(number), true
	}
	return 0, false
}
