# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option store of modules that use a bundle store."""

from __future__ import annotations


class ModuleDocFragment:
    """Where bundles are, and how to get there."""

    DOCUMENTATION = r"""
options:
  store:
    description: The bundle store.
    type: dict
    suboptions:
      kind:
        description:
          - What kind of store it is.
          - V(http) is any server that takes PUT and answers GET, such as nginx with its WebDAV module.
          - V(s3) is a bucket of S3, or of a server that speaks its protocol.
          - V(mserv) is the store of Tyk Cloud, or an mserv of one's own. It gives a bundle a name of its own, and takes
            bundles with more than one file from its version 1.1.0 on.
          - V(directory) is a folder of the host that the module runs on.
        type: str
        choices: [http, s3, mserv, directory]
        default: http
      url:
        description:
          - For V(http), the address of the folder that bundles are in, for uploads.
          - For V(mserv), its address up to C(/api), such as C(https://host/mserv).
          - For V(s3), the address from which gateways fetch, if the result is to name it. It is not used for uploads.
          - A query is kept and sent with every request, as gateways do with C(bundle_base_url).
        type: str
      headers:
        description: Headers sent with every request. For V(http) and V(mserv).
        type: dict
      username:
        description: User for basic authentication. For V(http) and V(mserv).
        type: str
      password:
        description: Password for basic authentication. For V(http) and V(mserv).
        type: str
      client_cert:
        description: A file with a client certificate in PEM form, and with its key unless O(store.client_key) is set.
        type: path
      client_key:
        description: A file with the key of O(store.client_cert).
        type: path
      validate_certs:
        description: Whether TLS certificates of the store are verified. If not set, O(validate_certs) counts.
        type: bool
      ca_path:
        description: A file with the CA certificates for the store. If not set, O(ca_path) counts.
        type: path
      retries:
        description:
          - How often a request is repeated that got no answer, or one that says "not now".
        type: int
        default: 2
      api_key:
        description: The API key for V(mserv), sent as C(X-Api-Key).
        type: str
      bucket:
        description: The bucket. Required for V(s3).
        type: str
      prefix:
        description: What the keys of bundles in the bucket begin with, such as C(bundles). For V(s3).
        type: str
      endpoint_url:
        description: The address of a server that speaks the protocol of S3. If not set, it is S3 itself.
        type: str
      region:
        description: The region of the bucket. For V(s3).
        type: str
      access_key:
        description:
          - The id of an access key. For V(s3).
          - If not set, the environment, the profile, or the role of the machine is used.
        type: str
      secret_key:
        description: The secret of O(store.access_key).
        type: str
      session_token:
        description: The token that belongs to temporary keys.
        type: str
      path:
        description: The folder. Required for V(directory). It must exist.
        type: path
      mode:
        description: The mode of files that are written there, as an octal text; V(0644) if not set.
        type: raw
requirements:
  - boto3 (only for O(store.kind=s3))
"""
