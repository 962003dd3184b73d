//go:build tools

// Package etcd names etcd's own programs, so that go.mod and go.sum pin every byte of them (see ../programs.ts).
package etcd

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/server/v3"
)
