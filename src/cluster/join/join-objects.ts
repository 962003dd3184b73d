/**
 * What a machine that joins finds in the cluster: the ConfigMap cluster-info that anybody may read and tokens sign, what nodes must know,
 * and the rights of bootstrap tokens and nodes, by kubeadm's names (cmd/kubeadm/app/phases/bootstraptoken).
 */
import type { Node } from '../../api/generated/core/v1.ts'
import type { RoleBinding } from '../../api/generated/rbac/v1.ts'
import type { Client } from '../../client/client.ts'
import { formatKubeconfig } from '../../client/http/index.ts'
import { parseRule } from '../../server/authorization/bootstrap-rules.ts'
import { createIfMissing } from '../system-objects.ts'
import { NODE_TOKEN_GROUP } from './bootstrap-token.ts'

/** What all nodes of a cluster are told alike, whatever machine they are on. */
export interface SharedFacts {
  readonly id: string
  readonly podCidr: string
  readonly serviceCidr: string
  readonly dnsAddress: string
}

export const CLUSTER_INFO = { namespace: 'kube-public', name: 'cluster-info' } as const
export const NODE_FACTS = { namespace: 'kube-system', name: 'proa-nodes' } as const
export const NODE_FACTS_KEY = 'cluster.json'
/** Where agents hold their tunnels: the path ends in the name of the node. */
export const TUNNEL_PATH = '/proa/tunnels/'
export const SERVING_APPROVER = 'kubelet-serving-approver'

export const isNodeReady = ({ status }: Node): boolean =>
  status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false

const GROUP = 'rbac.authorization.k8s.io'

/** Roles that upstream's bootstrap roles do not have. */
const ROLES: readonly (readonly [name: string, namespace: string, ...rules: string[]])[] = [
  ['kubeadm:bootstrap-signer-clusterinfo', 'kube-public', 'get | core | configmaps | cluster-info'],
  ['proa:node-facts', 'kube-system', `get | core | configmaps | ${NODE_FACTS.name}`],
  ['kubeadm:get-nodes', '', 'get | core | nodes'],
  // A node may touch no other's (NodeRestriction).
  ['proa:joined-node', '', 'delete | core | nodes', `get | url | ${TUNNEL_PATH}*`],
  [
    `proa:${SERVING_APPROVER}`,
    '',
    'get,list,watch | certificates.k8s.io | certificatesigningrequests',
    'update | certificates.k8s.io | certificatesigningrequests/approval',
    'approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving',
  ],
]

const ANYBODY = 'User system:anonymous'
const TOKENS = `Group ${NODE_TOKEN_GROUP}`
const NODES = 'Group system:nodes'
const APPROVED = 'system:certificates.k8s.io:certificatesigningrequests:nodeclient'

const BINDINGS: readonly (readonly [name: string, namespace: string, role: string, subject: string])[] = [
  ['kubeadm:bootstrap-signer-clusterinfo', 'kube-public', 'kubeadm:bootstrap-signer-clusterinfo', ANYBODY],
  ['proa:node-facts', 'kube-system', 'proa:node-facts', NODES],
  ['kubeadm:get-nodes', '', 'kubeadm:get-nodes', TOKENS],
  ['kubeadm:kubelet-bootstrap', '', 'system:node-bootstrapper', TOKENS],
  ['kubeadm:node-autoapprove-bootstrap', '', APPROVED, TOKENS],
  ['proa:joined-node', '', 'proa:joined-node', NODES],
  // The service proxy and the network policies are part of the agent and act as its node.
  ['proa:node-proxier', '', 'system:node-proxier', NODES],
  ['proa:node-network-policies', '', 'proa:network-policies', NODES],
  [`proa:${SERVING_APPROVER}`, '', `proa:${SERVING_APPROVER}`, `ServiceAccount ${SERVING_APPROVER}`],
]

/** `server` is the URL by which other machines reach the API, `ca` the PEM of its authority. */
export async function ensureJoinObjects(
  client: Client,
  { server, ca, facts }: { readonly server: string; readonly ca: string; readonly facts: SharedFacts },
): Promise<void> {
  const kubeconfig = formatKubeconfig({
    clusters: [{ name: '', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    contexts: [],
    users: [],
  })
  await ensureConfig(client, CLUSTER_INFO, { kubeconfig })
  await ensureConfig(client, NODE_FACTS, { [NODE_FACTS_KEY]: JSON.stringify(facts) })
  for (const [name, namespace, ...rules] of ROLES) {
    const role = { metadata: { name, ...(namespace ? { namespace } : {}) }, rules: rules.map(parseRule) }
    await createIfMissing(client, `${GROUP}/v1/${namespace ? 'Role' : 'ClusterRole'}`, role)
  }
  for (const [name, namespace, role, subject] of BINDINGS) {
    const binding: RoleBinding = {
      metadata: { name, ...(namespace ? { namespace } : {}) },
      roleRef: { apiGroup: GROUP, kind: namespace ? 'Role' : 'ClusterRole', name: role },
      subjects: [subjectOf(subject)],
    }
    await createIfMissing(client, `${GROUP}/v1/${namespace ? 'Role' : 'ClusterRole'}Binding`, binding)
  }
}

function subjectOf(text: string) {
  const [kind = '', name = ''] = text.split(' ')
  return kind === 'ServiceAccount' ? { kind, name, namespace: 'kube-system' } : { kind, name, apiGroup: GROUP }
}

/** Fields of others, such as signatures, stay. */
async function ensureConfig(
  client: Client,
  key: { readonly namespace: string; readonly name: string },
  data: Readonly<Record<string, string>>,
): Promise<void> {
  if (await createIfMissing(client, 'v1/ConfigMap', { metadata: key, data })) return
  const current = await client.get('v1/ConfigMap', key)
  const changed = Object.entries(data).some(([name, text]) => current.data?.[name] !== text)
  if (changed) await client.patch('v1/ConfigMap', key, 'merge', { data })
}
