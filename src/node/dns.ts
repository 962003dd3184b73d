/** A pod's name and the files by which it resolves names: resolv.conf by dnsPolicy, and /etc/hosts. Pure. */
import type { Pod } from '../api/generated/core/v1.ts'

export interface DnsConfig {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

/** What resolv.conf can hold (validation.MaxDNSNameservers and its siblings). */
const MAX_SERVERS = 3
const MAX_SEARCHES = 32
const MAX_SEARCH_CHARACTERS = 2048
const MAX_DOMAIN_CHARACTERS = 253
const HOSTNAME_MAX = 63

/** Reads a resolv.conf; the last search line wins. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = []
  let searches: readonly string[] = []
  const options = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/)
    if (keyword === 'nameserver' && values[0]) servers.push(values[0])
    else if (keyword === 'search') searches = values.map((domain) => (domain === '.' ? domain : domain.replace(/\.$/, '')))
    else if (keyword === 'options') for (const option of values) options.set(option.split(':')[0]!, option)
  }
  return { servers, searches, options: [...options.values()] }
}

export interface DnsInput {
  readonly pod: Pod
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  /** What the node itself uses. */
  readonly node: DnsConfig
}

export function podDns({ pod, clusterDns, clusterDomain, node }: DnsInput): DnsConfig {
  const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst'
  const usesCluster =
    clusterDns.length > 0 && (policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && !pod.spec?.hostNetwork))
  let dns: DnsConfig
  if (policy === 'None') dns = { servers: [], searches: [], options: [] }
  else if (usesCluster) {
    const namespace = pod.metadata?.namespace ?? 'default'
    const own = clusterDomain === '' ? [] : [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]
    dns = { servers: clusterDns, searches: [...own, ...node.searches], options: ['ndots:5'] }
  } else dns = node
  const more = pod.spec?.dnsConfig
  const options = new Map(dns.options.map((option) => [option.split(':')[0]!, option]))
  for (const { name, value } of more?.options ?? []) options.set(name ?? '', value ? `${name}:${value}` : (name ?? ''))
  return {
    servers: [...new Set([...dns.servers, ...(more?.nameservers ?? [])])].slice(0, MAX_SERVERS),
    searches: fitSearches([...new Set([...dns.searches, ...(more?.searches ?? [])])]),
    options: [...options.values()],
  }
}

function fitSearches(searches: readonly string[]): string[] {
  const fitting = searches.slice(0, MAX_SEARCHES).filter((domain) => domain.length <= MAX_DOMAIN_CHARACTERS)
  while (fitting.join(' ').length > MAX_SEARCH_CHARACTERS) fitting.pop()
  return fitting
}

const fit = (name: string): string => (name.length <= HOSTNAME_MAX ? name : name.slice(0, HOSTNAME_MAX).replace(/[-.]+$/, ''))

/** The pod's host name, and its domain within the cluster when it has a subdomain. */
export function podHostname(pod: Pod, clusterDomain: string): { readonly hostname: string; readonly domain: string } {
  const { hostnameOverride, hostname, subdomain } = pod.spec ?? {}
  if (hostnameOverride) return { hostname: fit(hostnameOverride), domain: '' }
  return {
    hostname: fit(hostname || (pod.metadata?.name ?? '')),
    domain: subdomain ? `${subdomain}.${pod.metadata?.namespace}.svc.${clusterDomain}` : '',
  }
}

/** The kernel's host name: the full one when the pod asks for it and it fits (64 bytes in Linux). */
export function kernelHostname(pod: Pod, clusterDomain: string): string {
  const { hostname, domain } = podHostname(pod, clusterDomain)
  if (!pod.spec?.setHostnameAsFQDN || domain === '') return hostname
  const full = `${hostname}.${domain}`
  if (full.length > 64)
    throw new Error(
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long (64 characters is the max, ${full.length} characters requested)`,
    )
  return full
}

/** /etc/hosts of a pod; that of a pod on the node's network is the node's own with the aliases behind. */
export function hostsFile(pod: Pod, podIPs: readonly string[], clusterDomain: string, nodeHosts: string): string {
  const aliases = pod.spec?.hostAliases ?? []
  const added =
    aliases.length === 0
      ? ''
      : `\n# Entries added by HostAliases.\n${aliases.map((alias) => `${[alias.ip, ...(alias.hostnames ?? [])].join('\t')}\n`).join('')}`
  if (pod.spec?.hostNetwork) return `# Kubernetes-managed hosts file (host network).\n${nodeHosts}${added}`
  const { hostname, domain } = podHostname(pod, clusterDomain)
  const own = podIPs.map((ip) => (domain ? `${ip}\t${hostname}.${domain}\t${hostname}\n` : `${ip}\t${hostname}\n`)).join('')
  return (
    '# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' +
    'fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n' +
    own +
    added
  )
}
