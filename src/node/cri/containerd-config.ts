/** containerd's configuration as text: a pure function, so that it can be compared to see whether a running one has to be restarted. */
export interface ContainerdPaths {
  /** Images and snapshots: kept. */
  readonly root: string
  /** Sockets, mounts, bundles of what runs: gone after a reboot. */
  readonly state: string
  readonly socket: string
  readonly cniConfig: string
  /** A folder a registry, with a hosts.toml in each. */
  readonly registries: string
}

export interface ContainerdSettings {
  readonly cniBinDirectories: readonly string[]
  readonly sandboxImage: string
  /** Where exec, attach and port-forward are served: an address that only this machine reaches. */
  readonly streamAddress: string
  /** Whether this process may lower oom_score_adj; without CAP_SYS_RESOURCE sandboxes fail to start when containerd tries. */
  readonly canLowerOomScore: boolean
}

/** Layers of one image fetched at the same time. */
const MAX_CONCURRENT_DOWNLOADS = 6

const text = (value: string): string => JSON.stringify(value)

export function containerdConfig(paths: ContainerdPaths, settings: ContainerdSettings): string {
  // containerd takes one directory of CNI plugins; the first that is given is it.
  const cniBin = settings.cniBinDirectories[0] ?? '/opt/cni/bin'
  return `# Written by proa at every start.
version = 2
root = ${text(paths.root)}
state = ${text(paths.state)}

[grpc]
  address = ${text(paths.socket)}
[ttrpc]
  address = ${text(`${paths.socket}.ttrpc`)}
[debug]
  level = "warn"
[plugins."io.containerd.internal.v1.opt"]
  path = ${text(`${paths.root}/opt`)}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${text(settings.sandboxImage)}
  stream_server_address = ${text(settings.streamAddress)}
  stream_server_port = "0"
  stream_idle_timeout = "4h0m0s"
  restrict_oom_score_adj = ${!settings.canLowerOomScore}
  max_concurrent_downloads = ${MAX_CONCURRENT_DOWNLOADS}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${text(cniBin)}
    conf_dir = ${text(paths.cniConfig)}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = ${text(paths.registries)}
`
}

/** hosts.toml of one registry: where it is really asked, for example { "localhost:5000": "http://127.0.0.1:5000" }. */
export function registryHosts(endpoint: string): string {
  return `server = ${text(endpoint)}

[host.${text(endpoint)}]
  capabilities = ["pull", "resolve"]
`
}
