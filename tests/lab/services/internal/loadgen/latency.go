// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package loadgen

import "math"

// histogram keeps latencies in buckets that grow by 2 %, from 10 µs to about 5 minutes.
type histogram struct {
	counts [900]int64
	total  int64
}

const (
	firstBucketMS = 0.01
	growth        = 1.02
)

func (h *histogram) add(ms float64) {
	bucket := 0
	if ms > firstBucketMS {
		bucket = min(int(math.Ceil(math.Log(ms/firstBucketMS)/math.Log(growth))), len(h.counts)-1)
	}
	h.counts[bucket]++
	h.total++
}

// percentile returns the latency that the given share of requests did not exceed, 0 without requests.
func (h *histogram) percentile(share float64) float64 {
	if h.total == 0 {
		return 0
	}
	rank := int64(math.Ceil(share * float64(h.total)))
	var seen int64
	for bucket, count := range h.counts {
		if seen += count; seen >= rank && count > 0 {
			return math.Round(firstBucketMS*math.Pow(growth, float64(bucket))*100) / 100
		}
	}
	return 0
}
