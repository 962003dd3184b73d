/**
 * The FlowSchemas and PriorityLevelConfigurations that every cluster begins with, as a table
 * (k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap). Mandatory ones are always as here; suggested ones may be changed.
 */
import type {
  FlowSchema,
  PolicyRulesWithSubjects,
  PriorityLevelConfiguration,
  PriorityLevelConfigurationSpec,
  ResourcePolicyRule,
  Subject,
} from '../../api/generated/flowcontrol/v1.ts'

export const AUTO_UPDATE = 'apf.kubernetes.io/autoupdate-spec'
const metadata = (name: string) => ({ name, annotations: { [AUTO_UPDATE]: 'true' } })
const apiVersion = 'flowcontrol.apiserver.k8s.io/v1'

function level(name: string, spec: PriorityLevelConfigurationSpec): PriorityLevelConfiguration {
  return { apiVersion, kind: 'PriorityLevelConfiguration', metadata: metadata(name), spec }
}

const limited = (name: string, shares: number, lendablePercent: number, queues?: number, handSize?: number): PriorityLevelConfiguration =>
  level(name, {
    type: 'Limited',
    limited: {
      nominalConcurrencyShares: shares,
      lendablePercent,
      limitResponse: queues && handSize ? { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } } : { type: 'Reject' },
    },
  })

export const mandatoryLevels: readonly PriorityLevelConfiguration[] = [
  level('exempt', { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } }),
  limited('catch-all', 5, 0),
]

export const suggestedLevels: readonly PriorityLevelConfiguration[] = [
  limited('system', 30, 33, 64, 6),
  limited('node-high', 40, 25, 64, 6),
  limited('leader-election', 10, 0, 16, 4),
  limited('workload-high', 40, 50, 128, 6),
  limited('workload-low', 100, 90, 128, 6),
  limited('global-default', 20, 50, 128, 6),
]

const ALL = ['*']
const groups = (...names: readonly string[]): Subject[] => names.map((name) => ({ kind: 'Group', group: { name } }))
const users = (...names: readonly string[]): Subject[] => names.map((name) => ({ kind: 'User', user: { name } }))
const KUBE_SYSTEM: Subject = { kind: 'ServiceAccount', serviceAccount: { name: '*', namespace: 'kube-system' } }
const EVERYBODY = groups('system:unauthenticated', 'system:authenticated')
const NODES = groups('system:nodes')
const MANAGERS = users('system:kube-controller-manager', 'system:kube-scheduler')

const resources = (
  verbs: readonly string[],
  apiGroups: readonly string[],
  names: readonly string[],
  clusterScope?: true,
): ResourcePolicyRule => ({
  verbs,
  apiGroups,
  resources: names,
  ...(clusterScope ? { clusterScope } : {}),
  namespaces: ALL,
})

const anything = (subjects: readonly Subject[]): PolicyRulesWithSubjects => ({
  subjects,
  resourceRules: [resources(ALL, ALL, ALL, true)],
  nonResourceRules: [{ verbs: ALL, nonResourceURLs: ALL }],
})

function schema(
  name: string,
  levelName: string,
  matchingPrecedence: number,
  distinguisher: 'ByUser' | 'ByNamespace' | undefined,
  rules: PolicyRulesWithSubjects,
): FlowSchema {
  return {
    apiVersion,
    kind: 'FlowSchema',
    metadata: metadata(name),
    spec: {
      priorityLevelConfiguration: { name: levelName },
      matchingPrecedence,
      ...(distinguisher ? { distinguisherMethod: { type: distinguisher } } : {}),
      rules: [rules],
    },
  }
}

const leases = (...verbs: readonly string[]) => resources(verbs, ['coordination.k8s.io'], ['leases'])

export const mandatorySchemas: readonly FlowSchema[] = [
  schema('exempt', 'exempt', 1, undefined, anything(groups('system:masters'))),
  schema('catch-all', 'catch-all', 10_000, 'ByUser', anything(EVERYBODY)),
]

export const suggestedSchemas: readonly FlowSchema[] = [
  schema('system-nodes', 'system', 500, 'ByUser', anything(NODES)),
  schema('system-node-high', 'node-high', 400, 'ByUser', {
    subjects: NODES,
    resourceRules: [resources(ALL, [''], ['nodes', 'nodes/status'], true), leases('*')],
  }),
  schema('probes', 'exempt', 2, undefined, {
    subjects: EVERYBODY,
    nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }],
  }),
  schema('system-leader-election', 'leader-election', 100, 'ByUser', {
    subjects: [...MANAGERS, KUBE_SYSTEM],
    resourceRules: [leases('get', 'create', 'update')],
  }),
  schema('kube-controller-manager', 'workload-high', 800, 'ByNamespace', anything(users('system:kube-controller-manager'))),
  schema('kube-scheduler', 'workload-high', 800, 'ByNamespace', anything(users('system:kube-scheduler'))),
  schema('kube-system-service-accounts', 'workload-high', 900, 'ByNamespace', anything([KUBE_SYSTEM])),
  schema('service-accounts', 'workload-low', 9000, 'ByUser', anything(groups('system:serviceaccounts'))),
  schema('global-default', 'global-default', 9900, 'ByUser', anything(EVERYBODY)),
]
