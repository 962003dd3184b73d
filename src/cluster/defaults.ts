/** Ranges and names of a cluster for which nothing else was asked: upstream's usual ones. */
/** Of simulated pods: room for 32,768 nodes, as nothing has to be routed. */
export const SIMULATED_POD_CIDR = '10.128.0.0/9'
export const DEFAULT_SERVICE_CIDR = '10.96.0.0/16'
/** Of pods on machines that join: each node gets a 256th. */
export const DEFAULT_CLUSTER_CIDR = '10.244.0.0/16'
/** Of the service range, counted from its network: what `kubernetes.default.svc` is, and DNS. */
export const API_INDEX = 1
export const DNS_INDEX = 10
/** That of the usual range. */
export const DEFAULT_DNS_ADDRESS = '10.96.0.10'
export const DEFAULT_PORT = 6443
/** Of the DNS server of a node in a namespace of its own, where it has every port to itself. */
export const NODE_DNS_PORT = 53
export const PROA_VERSION = '0.1.0'
export const CLUSTER_DOMAIN = 'cluster.local'
export const SERVICE_ACCOUNT_ISSUER = 'https://kubernetes.default.svc.cluster.local'
