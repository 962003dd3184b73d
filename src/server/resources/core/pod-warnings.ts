/** Texts for the Warning headers of new pods and templates: what works, but probably not as meant. */
import type { Pod, PodSpec, PodTemplateSpec } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'

const DEPRECATED_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}

const DEPRECATED_VOLUMES = {
  gitRepo: 'deprecated in v1.11, and disabled by default in v1.33+',
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
} as const

function specWarnings(path: string, spec: PodSpec): readonly string[] {
  const warnings: string[] = []
  for (const key of Object.keys(spec.nodeSelector ?? {})) {
    if (DEPRECATED_LABELS[key]) warnings.push(`${path}.nodeSelector[${key}]: ${DEPRECATED_LABELS[key]}`)
  }
  spec.topologySpreadConstraints?.forEach(({ topologyKey, labelSelector }, i) => {
    const at = `${path}.topologySpreadConstraints[${i}]`
    const message = DEPRECATED_LABELS[topologyKey]
    if (message) warnings.push(`${at}.topologyKey: ${topologyKey} is ${message}`)
    if (!labelSelector) warnings.push(`${at}.labelSelector: a null labelSelector results in matching no pod`)
  })
  spec.volumes?.forEach((volume, i) => {
    for (const [name, message] of Object.entries(DEPRECATED_VOLUMES)) {
      if (volume[name as keyof typeof DEPRECATED_VOLUMES]) warnings.push(`${path}.volumes[${i}].${name}: ${message}`)
    }
  })
  const pullSecrets = new Set<string>()
  spec.imagePullSecrets?.forEach(({ name = '' }, i) => {
    const at = `${path}.imagePullSecrets[${i}].name`
    if (name === '') warnings.push(`${at}: invalid empty name ""`)
    else if (pullSecrets.has(name)) warnings.push(`${at}: duplicate name ${JSON.stringify(name)}`)
    pullSecrets.add(name)
  })
  for (const list of ['initContainers', 'containers'] as const) {
    spec[list]?.forEach((container, i) => {
      const at = `${path}.${list}[${i}]`
      for (const side of ['limits', 'requests'] as const) {
        for (const name of ['memory', 'ephemeral-storage']) {
          const amount = container.resources?.[side]?.[name]
          if (amount?.endsWith('m')) {
            warnings.push(
              `${at}.resources.${side}[${name}]: fractional byte value ${JSON.stringify(amount)} is invalid, must be an integer`,
            )
          }
        }
      }
      const variables = new Set<string>()
      container.env?.forEach(({ name, value = '' }, j) => {
        // A variable that is built upon its earlier value is meant to hide it.
        if (variables.has(name) && !value.includes(`$(${name})`)) {
          warnings.push(`${at}.env[${j}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`)
        }
        variables.add(name)
      })
    })
  }
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    warnings.push(`${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`)
  }
  return warnings
}

export const templateWarnings = (path: string, template: PodTemplateSpec | undefined): readonly string[] =>
  template?.spec ? specWarnings(`${path}.spec`, template.spec) : []

export function podWarnings(pod: Pod): readonly string[] {
  const faults = dns1123LabelFaults(pod.metadata?.name ?? '')
  const name =
    pod.metadata?.name && faults.length > 0
      ? [
          `metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${faults.join(' ')}]`,
        ]
      : []
  return [...name, ...(pod.spec ? specWarnings('spec', pod.spec) : [])]
}
