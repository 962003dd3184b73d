/** The configuration of a container: command, environment, mounts, resources and security, from the pod's spec and the node. */
import type { Container, EphemeralContainer, Pod } from '../api/generated/core/v1.ts'
import type { ContainerConfig, Image, Mount } from './container-runtime.ts'
import { CPUS_ANNOTATION } from './cpu-manager.ts'
import { DEVICES_ANNOTATION } from './devices/device-manager.ts'
import type { DownwardContext } from './downward.ts'
import { hostsFile } from './dns.ts'
import { ConfigurationError, environmentOf } from './environment.ts'
import { expand } from './expansion.ts'
import type { FollowedObjects } from './followed-objects.ts'
import { hugePageLimits } from './huge-pages.ts'
import { containerAnnotations, containerLabels, podDirectory } from './identity.ts'
import type { NodeContext } from './node-context.ts'
import { containerResources } from './resources.ts'
import { containerSecurity } from './security.ts'
import type { MountedVolume } from './volumes/pod-volumes.ts'

export interface ContainerConfigInput {
  readonly node: NodeContext
  readonly pod: Pod
  readonly container: Container
  readonly image: Image
  readonly restartCount: number
  readonly podIPs: readonly string[]
  readonly objects: FollowedObjects
  readonly volume: (name: string) => MountedVolume | undefined
  /** The id of another container of the pod, whose processes an ephemeral one may share. */
  containerId(name: string): string | undefined
}

const PROPAGATION: Readonly<Record<string, Mount['propagation']>> = {
  None: 'PRIVATE',
  HostToContainer: 'HOST_TO_CONTAINER',
  Bidirectional: 'BIDIRECTIONAL',
}
const HOSTS_PATH = '/etc/hosts'
const DEFAULT_TERMINATION_MESSAGE_PATH = '/dev/termination-log'

/** An image volume that cannot be mounted as the container wants it. */
export class ImageMountError extends Error {
  override readonly name = 'ImageMountError'
}

/** Throws ConfigurationError when something that the container refers to is missing or forbidden. */
export async function containerConfig(input: ContainerConfigInput): Promise<ContainerConfig> {
  const { node, pod, container, image, restartCount, podIPs, objects } = input
  const downward: DownwardContext = { pod, podIPs, hostIPs: node.hostIPs, facts: node.facts }
  const env = environmentOf({
    ...downward,
    container,
    services: node.services(),
    configMap: (name) => objects.known('v1/ConfigMap', name),
    secret: (name) => objects.known('v1/Secret', name),
  })
  const expandAll = (words: readonly string[] | undefined) => (words ?? []).map((word) => expand(word, (name) => env[name]))
  const directory = `${podDirectory(node.dataDirectory, pod.metadata?.uid ?? '')}/containers/${container.name}`
  const messageFile = `${directory}/${restartCount}`
  const mounts = await volumeMounts(input, env)
  if (!mounts.some((mount) => mount.containerPath === HOSTS_PATH) && (podIPs.length > 0 || pod.spec?.hostNetwork))
    mounts.push(await hostsMount(input))
  const messagePath = container.terminationMessagePath ?? DEFAULT_TERMINATION_MESSAGE_PATH
  await node.host.makeDirectory(directory, 0o750)
  // The container's user, whoever that is, must be able to write it.
  await node.host.writeFile(messageFile, '', 0o666)
  mounts.push({ containerPath: messagePath, hostPath: messageFile, readonly: false, propagation: 'PRIVATE' })

  const security = containerSecurity(pod, container, image)
  const target = (container as EphemeralContainer).targetContainerName
  const targetContainerId = target ? input.containerId(target) : undefined
  if (target && !targetContainerId) throw new ConfigurationError(`unable to find target container ${target}`)
  const devices = await node.devices.grant(pod.metadata?.uid ?? '', container.name)
  for (const mount of devices?.grant.mounts ?? []) mounts.push({ ...mount, propagation: 'PRIVATE' })
  const cpus = node.cpuManager?.cpusOf(pod.metadata?.uid ?? '', container.name)
  return {
    metadata: { name: container.name, attempt: restartCount },
    imageId: image.id,
    command: expandAll(container.command),
    args: expandAll(container.args),
    workingDir: container.workingDir ?? '',
    env: Object.entries({ ...env, ...devices?.grant.env }).map(([key, value]) => ({ key, value })),
    mounts,
    ...(devices ? { devices: devices.grant.devices, cdiDevices: devices.grant.cdiDevices } : {}),
    labels: containerLabels(pod, container),
    annotations: {
      ...containerAnnotations(pod, container, restartCount, messageFile),
      ...(cpus?.isExclusive ? { [CPUS_ANNOTATION]: cpus.cpus } : {}),
      ...devices?.grant.annotations,
      ...(devices ? { [DEVICES_ANNOTATION]: devices.annotation } : {}),
    },
    logPath: `${container.name}/${restartCount}.log`,
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    resources: {
      ...containerResources(pod, container, node.facts.memoryBytes),
      ...(cpus ? { cpus: cpus.cpus } : {}),
      hugePageLimits: hugePageLimits(node.facts.hugePages ?? {}, pod, container.resources),
    },
    security: targetContainerId ? { ...security, namespaces: { ...security.namespaces, targetContainerId } } : security,
  }
}

async function volumeMounts(
  { node, pod, container, volume }: ContainerConfigInput,
  env: Readonly<Record<string, string>>,
): Promise<Mount[]> {
  const mounts: Mount[] = []
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const mounted = volume(mount.name)
    if (!mounted) throw new ConfigurationError(`cannot find volume "${mount.name}" to mount into container "${container.name}"`)
    const subPath = mount.subPathExpr ? expandStrictly(mount.subPathExpr, env) : (mount.subPath ?? '')
    if (subPath.startsWith('/')) throw new ConfigurationError(`error SubPath \`${subPath}\` must not be an absolute path`)
    if (subPath.split('/').includes('..')) throw new ConfigurationError(`unable to provision SubPath \`${subPath}\`: must not contain '..'`)
    let hostPath = mounted.hostPath
    const isByRuntime = mounted.imageId !== undefined && hostPath === ''
    if (
      subPath !== '' &&
      mounted.imageId !== undefined &&
      !isByRuntime &&
      (await node.host.pathType(`${hostPath}/${subPath}`)) === 'missing'
    )
      throw new ImageMountError(`image subpath "${subPath}" does not exist`)
    if (subPath !== '' && !isByRuntime) {
      try {
        hostPath = await node.host.prepareSubPath(
          mounted.hostPath,
          subPath,
          `${podDirectory(node.dataDirectory, pod.metadata?.uid ?? '')}/volume-subpaths/${mount.name}/${container.name}/${index}`,
        )
      } catch (error) {
        node.runtime.log.warn('subPath not prepared', { volume: mount.name, container: container.name, error: String(error) })
        throw new ConfigurationError(`failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}"`)
      }
    }
    mounts.push({
      containerPath: mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`,
      hostPath,
      readonly: mount.readOnly === true || mounted.isReadonly,
      propagation: PROPAGATION[mount.mountPropagation ?? 'None'] ?? 'PRIVATE',
      ...(isByRuntime ? { image: { id: mounted.imageId, subPath } } : {}),
    })
  }
  return mounts
}

/** In a subPathExpr every name must be known. */
function expandStrictly(text: string, env: Readonly<Record<string, string>>): string {
  const missing: string[] = []
  const path = expand(text, (name) => {
    if (env[name] === undefined) missing.push(name)
    return env[name]
  })
  if (missing.length > 0) throw new ConfigurationError(`missing value for "${missing[0]}"`)
  return path
}

async function hostsMount({ node, pod, podIPs }: ContainerConfigInput): Promise<Mount> {
  const path = `${podDirectory(node.dataDirectory, pod.metadata?.uid ?? '')}/etc-hosts`
  await node.host.writeFile(path, hostsFile(pod, podIPs, node.clusterDomain, node.nodeHosts), 0o644)
  return { containerPath: HOSTS_PATH, hostPath: path, readonly: false, propagation: 'PRIVATE' }
}
