# SPDX-License-Identifier: Apache-2.0
"""The VPN's test bed: network namespaces, stock strongSwan gateways, a guest, and a watched wire."""
