/**
 * PodTopologyLabels: a pod carries the zone and region of its node, from the moment it is bound (KEP-4742); and
 * LimitPodHardAntiAffinityTopology, off by default, by which a pod may keep others off its node and no more.
 */
import type { Binding, Pod } from '../../api/generated/core/v1.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { isPodWrite, podOf } from './pods.ts'

const COPIED = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region'] as const
const HOSTNAME = 'kubernetes.io/hostname'

function labelsOfNode({ context }: AdmissionAttributes, name: string): Readonly<Record<string, string>> | undefined {
  const labels = context.read.get('v1/Node', undefined, name)?.metadata?.labels
  const found = labels ? COPIED.filter((key) => labels[key] !== undefined) : []
  return found.length > 0 ? Object.fromEntries(found.map((key) => [key, labels![key]!])) : undefined
}

export const podTopologyLabels: AdmissionPlugin = {
  name: 'PodTopologyLabels',
  handles: ({ operation, resource, subresource }) =>
    operation === 'CREATE' &&
    resource.resource === 'pods' &&
    resource.group === '' &&
    (subresource === undefined || subresource === 'binding'),
  admit(attributes) {
    const { object } = attributes
    const node = attributes.subresource === 'binding' ? targetOf(object as Binding) : (object as Pod).spec?.nodeName
    const labels = node ? labelsOfNode(attributes, node) : undefined
    return labels ? { ...object, metadata: { ...object?.metadata, labels: { ...object?.metadata?.labels, ...labels } } } : object
  },
}

const targetOf = ({ target }: Binding): string | undefined => (target.kind && target.kind !== 'Node' ? undefined : target.name)

export const limitPodHardAntiAffinityTopology: AdmissionPlugin = {
  name: 'LimitPodHardAntiAffinityTopology',
  handles: (attributes) => (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE') && isPodWrite(attributes),
  validate(attributes) {
    const terms = podOf(attributes)?.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
    const other = terms.find(({ topologyKey }) => topologyKey !== HOSTNAME)
    if (other) {
      throw admissionDenied(
        attributes,
        `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${other.topologyKey} but only key ${HOSTNAME} is allowed`,
      )
    }
  },
}
