// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package rpc

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Backup is the emergency backup in the data plane's Redis: what MDCB sent last, readable only with
// the gateway's secret. Its keys have no TTL.
type Backup struct {
	Redis  redis.UniversalClient
	Secret string
	Tags   []string
}

const (
	definitionBackup = "rpc:node-definition-backup:"
	policyBackup     = "rpc:node-policy-backup:"
)

func (b Backup) key(prefix string) string { return prefix + strings.Join(b.Tags, "-") }

// Save keeps what MDCB sent.
func (b Backup) Save(definitions, policies string) error {
	for prefix, plain := range map[string]string{definitionBackup: definitions, policyBackup: policies} {
		sealed, err := seal(b.Secret, plain)
		if err != nil {
			return err
		}
		if err := b.Redis.Set(context.Background(), b.key(prefix), sealed, 0).Err(); err != nil {
			return err
		}
	}
	return nil
}

// Definitions reads the definitions back.
func (b Backup) Definitions() (string, error) {
	sealed, err := b.Redis.Get(context.Background(), b.key(definitionBackup)).Result()
	if err != nil {
		return "", err
	}
	return unseal(b.Secret, sealed)
}

// AES-256 in CFB mode; the key is the secret, filled up with "=" to 32 bytes.
func block(secret string) (cipher.Block, error) {
	padded := secret + strings.Repeat("=", 32)
	return aes.NewCipher([]byte(padded[:32]))
}

func seal(secret, plain string) (string, error) {
	cipherBlock, err := block(secret)
	if err != nil {
		return "", err
	}
	sealed := make([]byte, aes.BlockSize+len(plain))
	if _, err := rand.Read(sealed[:aes.BlockSize]); err != nil {
		return "", err
	}
	//nolint:staticcheck // the format has no authentication
	cipher.NewCFBEncrypter(cipherBlock, sealed[:aes.BlockSize]).XORKeyStream(sealed[aes.BlockSize:], []byte(plain))
	return base64.URLEncoding.EncodeToString(sealed), nil
}

func unseal(secret, text string) (string, error) {
	cipherBlock, err := block(secret)
	if err != nil {
		return "", err
	}
	sealed, err := base64.URLEncoding.DecodeString(text)
	if err != nil {
		return "", err
	}
	if len(sealed) < aes.BlockSize {
		return "", errors.New("emergency backup is too short")
	}
	plain := sealed[aes.BlockSize:]
	//nolint:staticcheck // the format has no authentication
	cipher.NewCFBDecrypter(cipherBlock, sealed[:aes.BlockSize]).XORKeyStream(plain, plain)
	return string(plain), nil
}
