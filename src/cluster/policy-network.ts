/**
 * Network policies on a node. Nothing is watched but policies until there is one: only then pods and namespaces of the whole cluster
 * matter here, and the packet filter gets a table. Both are there before the first rule, so none is made from half of what is known.
 */
import { aborted } from '../base/abort.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import { createFilterLoop } from '../network/filter-loop.ts'
import { createNftables } from '../network/host/nftables.ts'
import { createPolicyTable, policyFilterTable } from '../network/policy-table.ts'
import type { Lifecycle } from './lifecycle.ts'
import { policyTableName } from './node-layout.ts'
import type { NodeSources, RealNodeOptions } from './real-node.ts'
import { createIfMissing } from './system-objects.ts'

const ROLE = 'proa:network-policies'
const RBAC = 'rbac.authorization.k8s.io'

/** What the nodes' proxies may read besides what upstream's bootstrap role lets them. */
export async function ensurePolicyReader(client: Client): Promise<void> {
  await createIfMissing(client, `${RBAC}/v1/ClusterRole`, {
    metadata: { name: ROLE },
    rules: [
      { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['list', 'watch'] },
      { apiGroups: [''], resources: ['pods', 'namespaces'], verbs: ['list', 'watch'] },
    ],
  })
  await createIfMissing(client, `${RBAC}/v1/ClusterRoleBinding`, {
    metadata: { name: ROLE },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: ROLE },
    subjects: [{ apiGroup: RBAC, kind: 'User', name: 'system:kube-proxy' }],
  })
}

/** Resolves when the policies that there are hold. */
export async function startPolicyNetwork(
  runtime: Runtime,
  lifecycle: Lifecycle,
  { policies, peers }: NodeSources,
  { layout, cluster }: RealNodeOptions,
): Promise<void> {
  const filter = createNftables()
  const table = createPolicyTable({ nodeName: layout.name, family: 'ip' }, (owner) => loop.mark(owner))
  const loop = createFilterLoop(runtime, {
    filter,
    table: policyFilterTable({ name: policyTableName(cluster.id), family: 'ip' }),
    rulesOf: (owner) => table.rulesOf(owner),
  })
  const first = Promise.withResolvers<void>()
  policies.addHandlers({
    ...table.policyHandlers,
    added(policy) {
      table.policyHandlers.added(policy)
      first.resolve()
    },
  })
  const begin = async (): Promise<void> => {
    const { pods, namespaces } = peers()
    await Promise.all([pods.synced, namespaces.synced])
    namespaces.addHandlers(table.namespaceHandlers)
    pods.addHandlers(table.podHandlers)
  }
  await policies.synced
  const begun = policies.cache.size > 0 ? begin() : undefined
  await begun
  lifecycle.start({
    name: 'network policies',
    async run(signal) {
      if (!begun) {
        await Promise.race([first.promise, aborted(signal)])
        if (signal.aborted) return
        await Promise.race([begin(), aborted(signal)])
      }
      if (!signal.aborted) await loop.run(signal)
      await filter.close()
    },
  })
  if (begun) await loop.settled()
}
