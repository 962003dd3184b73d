/** Ranges and names of a cluster for which nothing else was asked: upstream's usual ones. */
/** Of simulated pods: room for 32,768 nodes, as nothing has to be routed. */
export const SIMULATED_POD_CIDR = '10.128.0.0/9'
export const DEFAULT_SERVICE_CIDR = '10.96.0.0/16'
/** The first address of the service range. */
export const DEFAULT_API_CLUSTER_IP = '10.96.0.1'
/** The tenth address of the service range. */
export const DEFAULT_DNS_ADDRESS = '10.96.0.10'
export const DEFAULT_PORT = 6443
/** Of the DNS server of a node in a namespace of its own, where it has every port to itself. */
export const NODE_DNS_PORT = 53
export const PROA_VERSION = '0.1.0'
export const CLUSTER_DOMAIN = 'cluster.local'
export const SERVICE_ACCOUNT_ISSUER = 'https://kubernetes.default.svc.cluster.local'
