// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package bundle fetches, checks and opens plugin bundles.
package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/TykTechnologies/tyk/apidef"
	"github.com/TykTechnologies/tyk/internal/behaviour"
	"github.com/TykTechnologies/tyk/internal/config"
	"github.com/TykTechnologies/tyk/log"
)

// Store is <middleware_path>/bundles and the server that fills it.
type Store struct {
	Config    config.Config
	Behaviour behaviour.Behaviour
}

// Loaded is a bundle in use: where it lies and which hooks it has.
type Loaded struct {
	Directory  string
	Middleware apidef.MiddlewareSection
}

// Directory of the bundle called name. Nothing but the name decides: other content under the same
// name is never noticed.
func (s *Store) Directory(name string) string {
	sum := md5.Sum([]byte(name))
	return filepath.Join(s.Config.MiddlewarePath, "bundles", hex.EncodeToString(sum[:]))
}

// Load returns the bundle, from its directory when there is one, else from the bundle server.
func (s *Store) Load(api *apidef.APIDefinition) (*Loaded, error) {
	entry := log.Get().WithFields(logrus.Fields{"prefix": "main", "api_id": api.APIID})
	if !s.Config.EnableBundleDownloader {
		return nil, errors.New("Bundle downloader is disabled") //nolint:staticcheck // the gateway's wording
	}
	name := api.CustomMiddlewareBundle
	directory := s.Directory(name)
	if _, err := os.Stat(directory); err == nil {
		return s.existing(name, directory, entry)
	}
	return s.fetched(name, directory, entry)
}

func (s *Store) existing(name, directory string, entry *logrus.Entry) (*Loaded, error) {
	entry.Info("Loading existing bundle: ", name)
	manifest, err := readManifest(directory)
	if err != nil {
		entry.Info("----> Couldn't load bundle: ", name, " ", err)
		if s.Behaviour.VerifyExisting == behaviour.Never {
			return &Loaded{Directory: directory}, nil
		}
		return nil, err
	}
	verify := s.Behaviour.VerifyExisting == behaviour.Always ||
		s.Behaviour.VerifyExisting == behaviour.OnlySigned && manifest.Signature != "" && !s.Config.SkipVerifyExistingPluginBundle
	if verify {
		if err := s.verify(directory, manifest); err != nil {
			entry.WithError(err).Info("----> Bundle verification failed: ", name)
			return nil, err
		}
	}
	entry.Info("----> Using bundle: ", name)
	return &Loaded{Directory: directory, Middleware: manifest.CustomMiddleware}, nil
}

func (s *Store) fetched(name, directory string, entry *logrus.Entry) (*Loaded, error) {
	entry.Info("----> Fetching Bundle: ", name)
	data, err := s.download(name)
	if err != nil {
		err = fmt.Errorf("Couldn't fetch bundle: %w", err) //nolint:staticcheck // the gateway's wording
		entry.Error(err)
		return nil, err
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	if err := extract(data, directory); err != nil && s.Behaviour.ExtractionErrors {
		entry.WithError(err).Error("Couldn't save bundle: ", name)
		return nil, err
	}
	entry.Info("----> Loading bundle: ", name)
	manifest, err := readManifest(directory)
	if err != nil {
		entry.WithError(err).Error("Couldn't load bundle")
		_ = os.RemoveAll(directory)
		return nil, err
	}
	entry.Info("----> Verifying bundle: ", name)
	if err := s.verify(directory, manifest); err != nil {
		entry.WithError(err).Info("----> Bundle verification failed: ", name)
		if s.Behaviour.BundleErrorDrops {
			_ = os.RemoveAll(directory)
			return nil, err
		}
	}
	entry.Info("----> Bundle is valid, adding to spec: ", name)
	return &Loaded{Directory: directory, Middleware: manifest.CustomMiddleware}, nil
}

func (s *Store) address(name string) (string, error) {
	if s.Config.BundleBaseURL == "" {
		return "", errors.New("No bundle base URL set") //nolint:staticcheck // the gateway's wording
	}
	base, err := url.Parse(s.Config.BundleBaseURL)
	if err != nil {
		return "", err
	}
	base.Path = path.Join(base.Path, name)
	return base.String(), nil
}

// download tries as often and waits as long as the version does: a pause of 0.5 s that doubles.
func (s *Store) download(name string) ([]byte, error) {
	address, err := s.address(name)
	if err != nil {
		return nil, err
	}
	pause := 500 * time.Millisecond
	for try := 0; ; try++ {
		log.Get().Info("Attempting to download plugin bundle: ", address)
		data, err := s.get(address)
		if err == nil {
			return data, nil
		}
		if try == s.Behaviour.DownloadRetries {
			return nil, err
		}
		time.Sleep(pause)
		if pause *= 2; pause > 5*time.Second {
			pause = 5 * time.Second
		}
	}
}

func (s *Store) get(address string) ([]byte, error) {
	ctx := context.Background()
	if s.Behaviour.DownloadTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Behaviour.DownloadTimeout)
		defer cancel()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP Error, got status code %d", response.StatusCode)
	}
	return io.ReadAll(response.Body)
}

// extract makes a directory only where the zip has an entry for it.
func extract(data []byte, directory string) error {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	for _, member := range archive.File {
		if strings.Contains(member.Name, "..") {
			return fmt.Errorf("%s leaves the bundle", member.Name)
		}
		target := filepath.Join(directory, filepath.FromSlash(member.Name))
		if member.FileInfo().IsDir() {
			if err := os.MkdirAll(target, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := extractOne(member, target); err != nil {
			return err
		}
	}
	return nil
}

func extractOne(member *zip.File, target string) error {
	source, err := member.Open()
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.Create(target)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, source); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func readManifest(directory string) (*apidef.BundleManifest, error) {
	data, err := os.ReadFile(filepath.Join(directory, "manifest.json"))
	if err != nil {
		return nil, err
	}
	var manifest apidef.BundleManifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		return nil, err
	}
	return &manifest, nil
}

// verify compares the MD5 of the listed files, in their order, and the signature when a key is set.
func (s *Store) verify(directory string, manifest *apidef.BundleManifest) error {
	sum, signed := md5.New(), sha256.New()
	for _, name := range manifest.FileList {
		file, err := os.Open(filepath.Join(directory, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.MultiWriter(sum, signed), file)
		file.Close()
		if err != nil {
			return err
		}
	}
	if hex.EncodeToString(sum.Sum(nil)) != manifest.Checksum {
		return errors.New("Invalid checksum") //nolint:staticcheck // the gateway's wording
	}
	if s.Config.PublicKeyPath == "" {
		return nil
	}
	if manifest.Signature == "" {
		return errors.New("Bundle isn't signed") //nolint:staticcheck // the gateway's wording
	}
	return s.verifySignature(manifest.Signature, signed.Sum(nil))
}

func (s *Store) verifySignature(signature string, hashed []byte) error {
	key, err := s.publicKey()
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return err
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, hashed, raw)
}

// publicKey reads the forms of a key that the version knows.
func (s *Store) publicKey() (*rsa.PublicKey, error) {
	data, err := os.ReadFile(s.Config.PublicKeyPath)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%s is not PEM", s.Config.PublicKeyPath)
	case block.Type == "RSA PUBLIC KEY" && s.Behaviour.PKCS1PublicKey:
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("rsa: unsupported key type %q", block.Type)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an RSA key", s.Config.PublicKeyPath)
	}
	return key, nil
}
