// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package behaviour says how a gateway of a given version behaves: one row for each thing in which
// versions differ. Everything else asks here and nowhere compares versions.
package behaviour

import "time"

// Order in which the file of a plugin is looked for; X.so is the path in the manifest.
type Order int

const (
	ExactOnly         Order = iota // X.so
	ExactThenPlain                 // X.so, X_4.2.4_os_arch.so
	ExactThenBoth                  // X.so, X_4.3.1_os_arch.so, X_v4.3.1_os_arch.so
	VersionedThenBare              // X_v5.3.0_os_arch.so, X_5.3.0_os_arch.so, X.so
)

// Verification of a bundle that lies on the disk already.
type Verification int

const (
	Never Verification = iota
	Always
	OnlySigned
)

// Behaviour of one version.
type Behaviour struct {
	Version  Version
	Reported string // as /hello, `version` and file names have it

	// Plugins
	Files             Order
	ResponseFiles     Order
	MissingHandler500 bool // else the hook is skipped
	ErrorTwice        bool // to an error of a plugin the gateway adds its own answer; else a panic is 200 with no body
	KeepsUnchanged    bool // a reload rebuilds no API whose definition is the same, if it has no hook
	KeepsHooks        bool // ... nor one that has
	RouteByID         bool // each API answers under /<api_id>/ as well
	AnyAuthFlag       bool // a Go auth_check runs with any of the three flags, else with use_go_plugin_auth only
	PluginLoadCommand bool
	PluginLoadSeveral bool // files with commas between them; else all is one file's name
	VersionCommand    bool

	// Bundles
	DownloadTimeout    time.Duration // of one attempt, body included; 0 = none
	DownloadRetries    int
	BundleDisabledFlag bool
	BundleErrorDrops   bool // a bundle that cannot be had or is not what it says drops its API
	ExtractionErrors   bool // reported; else half a bundle looks fine
	VerifyExisting     Verification
	PKCS1PublicKey     bool // public_key_path may hold an "RSA PUBLIC KEY", else a "PUBLIC KEY" only

	// Health
	ReadyEndpoint      bool
	ReadyFailsStopping bool
	HelloFails         bool          // 503 when something critical fails; else always 200
	LivenessUnit       time.Duration // of a plain number in liveness_check.check_duration

	// Life
	SubscribeDelay  time.Duration // deaf to reload signals until then
	APIsAfterListen time.Duration // the listener answers 404 that long before the first load
	Graceful        bool          // SIGTERM waits for running requests

	// Hybrid mode
	WrappedDefinitions  bool // {"api_definition": ..., "oas": ...}; else plain definitions
	StartsFromBackup    bool // serves the emergency backup until the first login
	StartNeedsMDCB      bool // opens no listener before a connection to MDCB stands
	BackupOnFirstLoad   bool // written by the first load; else only by a later one
	ServesBackup        bool
	DisconnectsFromMDCB bool
	NodeInLogin         bool
	UngroupedName       bool // an empty group_id becomes "ungrouped"
}

// Of a version.
func Of(v Version) Behaviour {
	b := Behaviour{
		Version: v,
		// 4.0 compiles its version in as a constant with "v"; since 4.1 releases inject it without.
		Reported: v.String(),

		Files:         VersionedThenBare,
		ResponseFiles: VersionedThenBare,
		// 4.0.13 and 5.0.1 turned the silent skip into an error; 4.1 to 4.3 never did.
		MissingHandler500: v.since("4.0.13", "5.0.1"),
		ErrorTwice:        v.since("4.0.13", "5.0.1") && !v.since("5.0.7", "5.2.2", "5.3.0"),
		// From 5.0.11 and 5.3.0 on all that name a bundle are rebuilt: what could not be fetched, the next reload fetches.
		KeepsUnchanged: v.since("4.0.7", "4.2.2") && !v.since("5.0.11", "5.3.0"),
		KeepsHooks:     v.since("4.0.7", "4.2.2") && !v.since("4.0.13", "5.0.1"),
		RouteByID:      v.since("4.0.13", "5.0.1"),
		// custom_plugin_auth_enabled came with 5.0.0. Seen: on 4.3.8 only use_go_plugin_auth works.
		AnyAuthFlag:       v.since("5.0.0"),
		PluginLoadCommand: v.since("5.0.0"),
		PluginLoadSeveral: v.since("5.2.4"),
		VersionCommand:    v.since("5.0.8", "5.2.3"),

		BundleDisabledFlag: v.since("5.0.0"),
		// Up to 5.3.0 a failed bundle is logged and the API served without its plugins.
		BundleErrorDrops: v.since("5.0.12", "5.3.1", "5.4.0"),
		ExtractionErrors: v.since("5.8.7", "5.10.1", "5.11.0"),
		VerifyExisting:   Never,
		PKCS1PublicKey:   v.since("4.0.7", "4.2.2"),

		ReadyEndpoint:      v.since("5.8.3", "5.9.0"),
		ReadyFailsStopping: v.since("5.14.0"),
		// Only these; the releases between and after answer 200 whatever they find.
		HelloFails:   v == must("5.8.3") || v.within("5.8.6", "5.8.12") || v == must("5.9.0"),
		LivenessUnit: time.Second,

		// Seen: 4.3.8 and 5.3.0 subscribe 10.1 s after the start, 5.8.9 after 1.2 s. Where between them
		// it changed is not known; 5.8.0 began to start in emergency mode.
		SubscribeDelay:  10 * time.Second,
		APIsAfterListen: 300 * time.Millisecond, // seen: 0.1-0.7 s on 5.3.0
		Graceful:        v.since("5.8.3", "5.9.0"),

		WrappedDefinitions: v.since("4.1.0"),
		StartsFromBackup:   v.since("5.3.11", "5.8.0"),
		// The only releases whose rpc.Connect waits for the connection, with no end. Seen: 5.0.15, 5.3.9.
		StartNeedsMDCB: v == must("5.0.15") || v.within("5.3.7", "5.3.9") || v == must("5.6.1") ||
			v.within("5.7.0", "5.7.1"),
		BackupOnFirstLoad: v.since("5.8.0"), // seen: not on 4.3.8 and 5.3.0, at once on 5.8.9
		ServesBackup:      v.since("4.1.0"), // seen: 4.0.16 with policies from RPC never serves it
		// Both came together: MDCB learns who a node is, and that it leaves.
		DisconnectsFromMDCB: v.since("5.2.0"),
		NodeInLogin:         v.since("5.2.0"),
		UngroupedName:       v.since("4.3.3"),
	}
	switch {
	case !v.since("4.1.0"):
		b.Reported = "v" + v.String()
		b.Files, b.ResponseFiles = ExactOnly, ExactOnly
	case !v.since("4.3.0"):
		b.Files, b.ResponseFiles = ExactThenPlain, ExactOnly
	case !v.since("4.3.2"):
		b.Files, b.ResponseFiles = ExactThenBoth, ExactOnly
	}
	if v.since("4.0.11", "4.3.2", "5.0.0") {
		b.DownloadTimeout, b.DownloadRetries = 5*time.Second, 4
	}
	if v.since("5.8.7", "5.10.1", "5.11.0") {
		b.VerifyExisting = Always
	}
	if v.since("5.8.11", "5.11.1") {
		b.VerifyExisting = OnlySigned
	}
	if v.since("5.4.0") {
		b.LivenessUnit = time.Nanosecond
	}
	if v.since("5.8.0") {
		b.SubscribeDelay = 1200 * time.Millisecond
		b.APIsAfterListen = 700 * time.Millisecond // seen: 0.4-2.3 s on 5.8.9
	}
	return b
}
