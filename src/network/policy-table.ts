/**
 * What a node's packet filter must hold so that NetworkPolicies are obeyed: policies, pods and namespaces, fed by informer handlers,
 * and for each policy and each pod the rules it wants, told to a listener by owner.
 *
 * A connection is let through when the policies of both its ends allow it: two base chains follow each other, and accepting ends only
 * one of them. Only what is forwarded passes them, so a node and its own pods always reach each other, as the API demands. What is
 * established stays.
 */
import type { Namespace, Pod } from '../api/generated/core/v1.ts'
import type { NetworkPolicy } from '../api/generated/networking/v1.ts'
import { keyOf } from '../api/object.ts'
import { compileLabelSelector, MATCHES_EVERYTHING, type LabelMatcher } from '../api/selectors.ts'
import { addressType, type Family } from './addresses.ts'
import type { Rule, Table } from './nft-ruleset.ts'
import { directionsOf, elementsOf, planPolicy, policyAddress, type Direction, type GroupQuery } from './policy-plan.ts'
import type { Handlers } from './service-table.ts'

export interface PolicyTable {
  readonly policyHandlers: Handlers<NetworkPolicy>
  readonly podHandlers: Handlers<Pod>
  readonly namespaceHandlers: Handlers<Namespace>
  /** What an owner that was told wants. */
  rulesOf(owner: string): readonly Rule[]
}

interface Policy {
  readonly selects: LabelMatcher
  readonly groups: readonly Group[]
  /** By direction, the name of its chain. */
  readonly chains: ReadonlyMap<Direction, string>
  readonly rules: readonly Rule[]
}

interface Group {
  readonly key: string
  readonly name: string
  readonly query: GroupQuery
  readonly selectsPod: LabelMatcher
  readonly selectsNamespace: LabelMatcher
  /** How many policies name it. */
  users: number
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']

/** The table without any policy. Only pods that a policy isolates are in its maps. */
export function policyFilterTable({ name, family }: { readonly name: string; readonly family: Family }): Table {
  const type = addressType(family)
  const base = (direction: Direction, field: string, priority: number) => `  map ${direction} { type ${type} : verdict; }
  chain ${direction}-policies {
    type filter hook forward priority ${priority}; policy accept;
    ct state { established, related } accept
    ${family} saddr . ${family} daddr @self accept
    ${family} ${field} vmap @${direction}
  }
`
  return {
    name,
    family,
    text: () => `table ${family} ${name} {}
delete table ${family} ${name}
table ${family} ${name} {
  set self { type ${type} . ${type}; }
${base('egress', 'saddr', 1)}${base('ingress', 'daddr', 2)}}
`,
  }
}

export function createPolicyTable(
  { nodeName, family }: { readonly nodeName: string; readonly family: Family },
  mark: (owner: string) => void,
): PolicyTable {
  const policies = new Map<string, Map<string, Policy>>()
  const pods = new Map<string, Map<string, Pod>>()
  const namespaceLabels = new Map<string, Readonly<Record<string, string>>>()
  const groups = new Map<string, Group>()
  let count = 0

  const markPods = (namespace: string) => {
    for (const key of pods.get(namespace)?.keys() ?? []) mark(`pod/${key}`)
  }
  const markAllPods = () => {
    for (const namespace of pods.keys()) markPods(namespace)
  }

  function groupOf(query: GroupQuery): Group {
    const { namespace, namespaceSelector, podSelector, port } = query
    const key = JSON.stringify([namespace, namespaceSelector, podSelector, port?.name, port?.protocol])
    return groups.getOrInsertComputed(key, () => ({
      key,
      name: `group-${++count}`,
      query,
      selectsPod: podSelector ? compileLabelSelector(podSelector) : MATCHES_EVERYTHING,
      selectsNamespace: namespaceSelector ? compileLabelSelector(namespaceSelector) : MATCHES_EVERYTHING,
      users: 0,
    }))
  }

  function compile(policy: NetworkPolicy): Policy {
    const named = new Set<Group>()
    const directions = directionsOf(policy)
    const chains = new Map(directions.map((direction) => [direction, `policy-${++count}-${direction}`]))
    const rules = directions.map((direction): Rule => {
      const value = planPolicy(policy, direction, family, (query) => {
        const group = groupOf(query)
        named.add(group)
        return group.name
      })
      return { set: 'chain', key: chains.get(direction)!, value }
    })
    for (const { name, query } of named) {
      const type = addressType(family)
      rules.push({ set: 'group', key: name, value: query.port ? `type ${type} . inet_proto . inet_service;` : `type ${type};` })
    }
    return { selects: compileLabelSelector(policy.spec?.podSelector ?? {}), groups: [...named], chains, rules }
  }

  /** The new policy's groups are counted before the old one's are let go, so what both name stays. */
  function setPolicy(namespace: string, key: string, policy: NetworkPolicy | undefined): void {
    const known = policies.getOrInsertComputed(namespace, () => new Map())
    const before = known.get(key)
    const compiled = policy && compile(policy)
    let changesGroups = false
    for (const group of compiled?.groups ?? []) if (group.users++ === 0) changesGroups = true
    for (const group of before?.groups ?? []) {
      if (--group.users > 0) continue
      groups.delete(group.key)
      changesGroups = true
    }
    if (compiled) known.set(key, compiled)
    else known.delete(key)
    if (known.size === 0) policies.delete(namespace)
    mark(`policy/${key}`)
    if (changesGroups) markAllPods()
    else markPods(namespace)
  }

  function setPod(pod: Pod): void {
    pods.getOrInsertComputed(pod.metadata?.namespace ?? '', () => new Map()).set(keyOf(pod), pod)
    mark(`pod/${keyOf(pod)}`)
  }

  function podRules(pod: Pod): readonly Rule[] {
    const address = policyAddress(pod, family)
    if (address === undefined) return []
    const namespace = pod.metadata?.namespace ?? ''
    const labels = pod.metadata?.labels ?? {}
    const rules: Rule[] = []
    for (const group of groups.values()) {
      const isThere = group.query.namespace === undefined ? isSelected(group, namespace) : group.query.namespace === namespace
      if (!isThere || !group.selectsPod(labels)) continue
      for (const key of elementsOf(pod, address, group.query)) rules.push({ set: group.name, key, value: '' })
    }
    if (pod.spec?.nodeName !== nodeName) return rules
    const selecting = [...(policies.get(namespace)?.values() ?? [])].filter(({ selects }) => selects(labels))
    for (const direction of DIRECTIONS) {
      const chains = selecting.flatMap((policy) => policy.chains.get(direction) ?? [])
      if (chains.length === 0) continue
      const chain = `${direction}-${address.replaceAll(':', '_')}`
      rules.push({ set: 'chain', key: chain, value: [...chains.map((name) => `jump ${name}`), 'drop'].join('\n') })
      rules.push({ set: direction, key: address, value: `goto ${chain}` })
      rules.push({ set: 'self', key: `${address} . ${address}`, value: '' })
    }
    return rules
  }

  const isSelected = (group: Group, namespace: string): boolean => {
    const labels = namespaceLabels.get(namespace)
    return labels !== undefined && group.selectsNamespace(labels)
  }

  const setNamespace = ({ metadata }: Namespace): void => {
    namespaceLabels.set(metadata?.name ?? '', metadata?.labels ?? {})
    markPods(metadata?.name ?? '')
  }

  return {
    policyHandlers: {
      added: (policy) => setPolicy(policy.metadata?.namespace ?? '', keyOf(policy), policy),
      updated(policy, old) {
        // What only its status or labels say changes no rule.
        if (policy.metadata?.generation !== old.metadata?.generation || policy.metadata?.uid !== old.metadata?.uid) {
          setPolicy(policy.metadata?.namespace ?? '', keyOf(policy), policy)
        }
      },
      deleted: (policy) => setPolicy(policy.metadata?.namespace ?? '', keyOf(policy), undefined),
    },
    podHandlers: {
      added: setPod,
      updated(pod, old) {
        if (isSamePeer(pod, old, family)) pods.get(pod.metadata?.namespace ?? '')?.set(keyOf(pod), pod)
        else setPod(pod)
      },
      deleted(pod) {
        const namespace = pod.metadata?.namespace ?? ''
        const known = pods.get(namespace)
        known?.delete(keyOf(pod))
        if (known?.size === 0) pods.delete(namespace)
        mark(`pod/${keyOf(pod)}`)
      },
    },
    namespaceHandlers: {
      added: setNamespace,
      updated(namespace, old) {
        if (JSON.stringify(namespace.metadata?.labels) !== JSON.stringify(old.metadata?.labels)) setNamespace(namespace)
      },
      deleted: ({ metadata }) => void namespaceLabels.delete(metadata?.name ?? ''),
    },
    rulesOf(owner) {
      const slash = owner.indexOf('/')
      const key = owner.slice(slash + 1)
      const namespace = key.slice(0, key.indexOf('/'))
      if (owner.slice(0, slash) === 'policy') return policies.get(namespace)?.get(key)?.rules ?? []
      const pod = pods.get(namespace)?.get(key)
      return pod ? podRules(pod) : []
    },
  }
}

/** Probes and conditions change a pod's status often, and nothing here. */
const isSamePeer = (pod: Pod, old: Pod, family: Family): boolean =>
  policyAddress(pod, family) === policyAddress(old, family) &&
  pod.spec?.nodeName === old.spec?.nodeName &&
  pod.metadata?.uid === old.metadata?.uid &&
  JSON.stringify(pod.metadata?.labels) === JSON.stringify(old.metadata?.labels)
