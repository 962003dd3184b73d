//go:build tools

// Package kwok names kwok, whose nodes upstream's control plane is measured with (see ../programs.ts).
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
