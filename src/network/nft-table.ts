/**
 * The table of a cluster in the packet filter: the maps that services fill and the chains that read them. One table a cluster, by
 * name, so that several clusters live on one machine and one goes without a trace of it in the others.
 *
 * A packet's way: the hooks look its destination up in `services` (or `external`, for what comes from outside to a service with the
 * policy Local) and go to the chain for that number of endpoints, which draws one from `endpoints`.
 *
 * Sources are kept wherever answers find their way back without help: to a pod of this node, whose answers pass here anyway. So
 * only traffic from outside to other nodes' endpoints, pods that reach themselves, and what leaves the cluster are masqueraded.
 */
import { assert } from '../base/assert.ts'
import { addressType, type Family } from './addresses.ts'
import type { Table } from './nft-ruleset.ts'

export interface TableOptions {
  /** Of the table: letters, digits, "-", "_"; "proa-<cluster>". */
  readonly name: string
  readonly family: Family
  /** All pods of the cluster: their traffic is inside. */
  readonly clusterCidrs: readonly string[]
  /** The pods of this node. */
  readonly nodeCidr: string
  /** The link that this node's pods are on. */
  readonly bridge: string
  /** A pattern for links of other clusters on this machine ("proa-*"): what comes from them is theirs. */
  readonly foreignLinks?: string
}

/**
 * Chains for up to this many endpoints are always there. nft 1.0.6 cannot add a rule that looks up `endpoints` to a table that
 * exists ("conflicting protocols specified": it misreads the map's type from the kernel), only together with the map.
 */
export const READY_SPREADS = 128

/** The chain that draws one of so many endpoints. `numgen` within the key of the map is what makes one chain enough for all services. */
function spreadChains(family: Family, sizes: Iterable<number>): string {
  const chain = (name: string, count: number, map: string) =>
    `  chain ${name}-${count} { meta l4proto { tcp, udp, sctp } dnat ${family} to ${family} daddr . meta l4proto . th dport . numgen random mod ${count} map @${map}; }\n`
  let text = ''
  for (const count of sizes) text += chain('lb', count, 'endpoints') + chain('local-lb', count, 'local-endpoints')
  return text
}

export function serviceTable(options: TableOptions): Table {
  assert(/^[\w.-]{1,15}$/.test(options.bridge), 'name of the bridge')
  return { name: options.name, family: options.family, text: (spreads) => tableText(options, spreads) }
}

function tableText(options: TableOptions, largeSpreads: readonly number[]): string {
  const sizes = new Set([...Array.from({ length: READY_SPREADS }, (_, i) => i + 1), ...largeSpreads])
  const { name, family, bridge, nodeCidr, foreignLinks } = options
  const address = addressType(family)
  const front = `${address} . inet_proto . inet_service`
  const endpoints = `typeof ${family} daddr . meta l4proto . th dport . numgen random mod 2 : ${family} daddr . th dport;`
  const pods = `{ ${options.clusterCidrs.join(', ')} }`
  const loopback = family === 'ip' ? '127.0.0.0/8' : '::1'
  const target = `${family} daddr . meta l4proto . th dport`
  const foreign = foreignLinks ? `iifname "${foreignLinks}" iifname != "${bridge}" return` : ''
  return `table ${family} ${name} {}
delete table ${family} ${name}
table ${family} ${name} {
  map services { type ${front} : verdict; }
  map external { type ${front} : verdict; }
  map endpoints { ${endpoints} }
  map local-endpoints { ${endpoints} }
  set cluster-ips { type ${address}; }
  set no-endpoints { type ${front}; }
  set hairpin { type ${address} . ${address}; }
  set remote-endpoints { type ${address}; }
  set firewalled { type ${front}; }
  set allowed { type ${front} . ${address}; flags interval; }
${spreadChains(family, sizes)}  chain firewall {
    type filter hook prerouting priority -110; policy accept;
    ${target} @firewalled ${target} . ${family} saddr != @allowed drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ${foreign}
    ${family} saddr != ${pods} ${target} vmap @external
    ${target} vmap @services
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ${target} vmap @services
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ${family} saddr . ${family} daddr @hairpin masquerade fully-random
    ct status dnat ${family} saddr ${loopback} oifname != "lo" masquerade fully-random
    ct status dnat ${family} saddr != ${pods} ${family} daddr ${pods} ${family} daddr != ${nodeCidr} masquerade fully-random
    ct status dnat ${family} saddr != ${pods} ${family} daddr @remote-endpoints masquerade fully-random
    ${family} saddr ${nodeCidr} ${family} daddr != ${pods} oifname != "${bridge}" masquerade fully-random
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain refuse-unserved {
    ${family} daddr @cluster-ips goto refuse
    ${target} @no-endpoints goto refuse
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "${bridge}" ${family} daddr ${loopback} ct state != { established, related } drop
    ct state new jump refuse-unserved
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state new jump refuse-unserved
  }
  chain filter-output {
    type filter hook output priority 10; policy accept;
    ct state new jump refuse-unserved
  }
}
`
}
