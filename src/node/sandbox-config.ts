/** The configuration of a pod's sandbox. */
import type { Pod } from '../api/generated/core/v1.ts'
import type { PortMapping, SandboxConfig } from './container-runtime.ts'
import { kernelHostname, podDns } from './dns.ts'
import { identityOf, podCgroup, podLogDirectory, sandboxLabels } from './identity.ts'
import type { NodeContext } from './node-context.ts'
import { qosClass } from './resources.ts'
import { sandboxSecurity } from './security.ts'

export function sandboxConfig(node: NodeContext, pod: Pod, attempt: number): SandboxConfig {
  const identity = identityOf(pod)
  return {
    metadata: { name: identity.name, namespace: identity.namespace, uid: identity.uid, attempt },
    hostname: pod.spec?.hostNetwork ? '' : kernelHostname(pod, node.clusterDomain),
    logDirectory: podLogDirectory(node.logsDirectory, identity),
    dns: podDns({ pod, clusterDns: node.clusterDns, clusterDomain: node.clusterDomain, node: node.nodeDns }),
    portMappings: portMappings(pod),
    labels: sandboxLabels(pod),
    annotations: pod.metadata?.annotations ?? {},
    linux: {
      cgroupParent: podCgroup(node.cgroupRoot, identity.uid, qosClass(pod)),
      sysctls: Object.fromEntries((pod.spec?.securityContext?.sysctls ?? []).map(({ name, value }) => [name.replaceAll('/', '.'), value])),
      security: sandboxSecurity(pod),
    },
  }
}

/** With the node's network a port is the node's by itself. */
function portMappings(pod: Pod): readonly PortMapping[] {
  if (pod.spec?.hostNetwork) return []
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  return containers.flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => port.hostPort)
      .map((port) => ({
        protocol: (port.protocol ?? 'TCP') as PortMapping['protocol'],
        containerPort: port.containerPort,
        hostPort: port.hostPort!,
        hostIP: port.hostIP ?? '',
      })),
  )
}
