/**
 * The borders of the house, on one screen: what each folder may import. `npm run check` holds it (tools/check-deps.ts), and
 * docs/architecture.md prints it. Types count as imports. A folder not named inherits from its parent.
 */
export interface Folder {
  readonly purpose: string
  /** Folders of src/ that it may import from, itself always included. */
  readonly imports: readonly string[]
  /** npm packages. */
  readonly packages?: readonly string[]
  /** A platform adapter: may use node: modules, clocks, timers and chance directly. */
  readonly isAdapter?: true
}

export const folders: Readonly<Record<string, Folder>> = {
  base: { purpose: 'clock, chance, log, queues: knows no word of Kubernetes', imports: [] },
  api: { purpose: 'what an object is: schema, types, quantities, selectors, patches, codecs', imports: ['base'], packages: ['yaml'] },
  cel: {
    purpose: 'the Common Expression Language with the libraries of Kubernetes: parser, type checker, evaluator',
    imports: ['base', 'api'],
    packages: ['re2js', 'ipaddr.js'],
  },
  grpc: { purpose: 'protobuf definitions in a shorthand', imports: [] },
  store: { purpose: 'the revisioned store; memory', imports: ['base'] },
  'store/ciphers': {
    purpose: 'encryption at rest: AES, secretbox, and key services by KMS v2',
    imports: ['store'],
    packages: ['@grpc/grpc-js', '@noble/ciphers'],
    isAdapter: true,
  },
  'store/etcd': {
    purpose: 'the store on an etcd, whole in memory as its watch keeps it',
    imports: ['base', 'store', 'grpc'],
    packages: ['@grpc/grpc-js', '@grpc/proto-loader'],
    isAdapter: true,
  },
  'store/sqlite': { purpose: 'the durable store', imports: ['base', 'store'], isAdapter: true },
  server: {
    purpose: 'the API server: pipeline, access, watch cache, resources',
    imports: ['base', 'api', 'store', 'cel'],
  },
  'server/http': {
    purpose: 'sockets, TLS, upgrades, tokens',
    imports: ['base', 'api', 'server', 'streaming'],
    packages: ['ws'],
    isAdapter: true,
  },
  streaming: {
    purpose: 'SPDY/3.1, WebSocket channels and byte streams: both ends of exec, attach and port-forward',
    imports: ['base', 'api'],
    packages: ['ws'],
    isAdapter: true,
  },
  client: { purpose: 'typed client, informers, work queue, direct transport', imports: ['base', 'api'] },
  'client/http': { purpose: 'the HTTPS transport and kubeconfig', imports: ['base', 'api', 'client'], packages: ['yaml'], isAdapter: true },
  controllers: { purpose: 'a folder a control loop', imports: ['base', 'api', 'cel', 'client'] },
  scheduler: { purpose: 'queue, snapshot, framework, plugins', imports: ['base', 'api', 'cel', 'client'] },
  node: { purpose: 'the node agent over the interfaces it declares; simulated runtime', imports: ['base', 'api', 'client'] },
  'node/http': { purpose: "the node's own HTTPS API", imports: ['base', 'api', 'client', 'node', 'streaming'], isAdapter: true },
  'node/cri': {
    purpose: 'containerd by CRI',
    imports: ['base', 'api', 'grpc', 'node', 'streaming'],
    packages: ['@grpc/grpc-js', '@grpc/proto-loader', 'tar-stream'],
    isAdapter: true,
  },
  'node/host': {
    purpose: 'files, mounts, cgroups of Linux',
    imports: ['base', 'api', 'grpc', 'node'],
    packages: ['@grpc/grpc-js', '@grpc/proto-loader'],
    isAdapter: true,
  },
  network: {
    purpose: 'service proxy, DNS and pod network as pure functions',
    imports: ['base', 'api', 'client'],
    packages: ['dns-packet', 'ipaddr.js'],
  },
  'network/host': {
    purpose: 'nftables, CNI, links, sockets',
    imports: ['base', 'api', 'client', 'network'],
    packages: ['dns-packet'],
    isAdapter: true,
  },
  simulation: {
    purpose: 'virtual clock, seeds, faults',
    imports: ['base', 'api', 'store', 'server', 'client', 'controllers', 'scheduler', 'node', 'network'],
  },
  cluster: {
    purpose: 'puts the parts together: every part on one page; certificates, data directory',
    imports: ['*'],
    packages: ['*'],
    isAdapter: true,
  },
  cli: {
    purpose: 'the proa command',
    imports: ['base', 'api', 'client', 'client/http', 'cluster'],
    packages: ['commander', 'yaml'],
    isAdapter: true,
  },
}
