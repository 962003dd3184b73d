/**
 * Defaults of pod specs and what they contain, wherever a pod spec stands: in pods and in the templates of workloads. Pods
 * alone get more (core/pod.ts), so that a template does not grow fields when upstream adds a default. Idempotent.
 */
import type {
  Container,
  ContainerPort,
  DownwardAPIVolumeFile,
  EnvVar,
  PodSpec,
  PodTemplateSpec,
  Probe,
  ResourceFieldSelector,
  Volume,
  VolumeProjection,
} from '../../../api/generated/core/v1.ts'
import { sourceDefaults } from './volume-defaults.ts'
import { changeField, mapItems, withDefaults, withField, withPointerDefaults, withPositiveDefaults } from '../immutable.ts'

/** The longest repository that is a reference, with its registry. */
const MAX_REPOSITORY_LENGTH = 255

/** The tag of an image reference; "latest" when it names neither tag nor digest; "" when it has none or is not a reference. */
export function imageTag(image: string | undefined): string {
  if (!image) return ''
  const at = image.indexOf('@')
  const name = at < 0 ? image : image.slice(0, at)
  const slash = name.lastIndexOf('/')
  const colon = name.indexOf(':', slash + 1)
  const firstSlash = name.indexOf('/')
  const path = name.slice(firstSlash >= 0 && /[.:]/.test(name.slice(0, firstSlash)) ? firstSlash : 0, colon < 0 ? undefined : colon)
  if (/[^a-z0-9._/-]/.test(path) || path.length > MAX_REPOSITORY_LENGTH) return ''
  if (colon >= 0) return name.slice(colon + 1)
  return at < 0 ? 'latest' : ''
}

const pullPolicyOf = (image: string | undefined): string => (imageTag(image) === 'latest' ? 'Always' : 'IfNotPresent')

function probeDefaults(probe: Probe): Probe {
  let next = withPositiveDefaults(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 })
  next = changeField(next, 'httpGet', (get) => withDefaults(get, { path: '/', scheme: 'HTTP' }))
  return changeField(next, 'grpc', (grpc) => withDefaults(grpc, { service: '' }))
}

const handlerDefaults = <T extends { readonly httpGet?: { readonly path?: string; readonly scheme?: string } }>(handler: T): T =>
  handler.httpGet ? withField(handler, 'httpGet', withDefaults(handler.httpGet, { path: '/', scheme: 'HTTP' })) : handler

const resourceFieldDefaults = (ref: ResourceFieldSelector): ResourceFieldSelector => withDefaults(ref, { divisor: '0' })

const envDefaults = (variable: EnvVar): EnvVar =>
  changeField(variable, 'valueFrom', (from) => {
    let next = changeField(from, 'fieldRef', (ref) => withDefaults(ref, { apiVersion: 'v1' }))
    next = changeField(next, 'resourceFieldRef', resourceFieldDefaults)
    return changeField(next, 'fileKeyRef', (ref) => withDefaults(ref, { optional: false }))
  })

const portDefaults = (port: ContainerPort): ContainerPort => withDefaults(port, { protocol: 'TCP' })

export function containerDefaults<T extends Container>(container: T): T {
  let next: Container = container
  if (!next.imagePullPolicy) next = withField(next, 'imagePullPolicy', pullPolicyOf(next.image))
  next = withDefaults(next, { terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File', resources: {} })
  next = changeField(next, 'ports', (ports) => mapItems(ports, portDefaults))
  next = changeField(next, 'env', (env) => mapItems(env, envDefaults))
  next = changeField(next, 'livenessProbe', probeDefaults)
  next = changeField(next, 'readinessProbe', probeDefaults)
  next = changeField(next, 'startupProbe', probeDefaults)
  next = changeField(next, 'lifecycle', (lifecycle) =>
    changeField(changeField(lifecycle, 'postStart', handlerDefaults), 'preStop', handlerDefaults),
  )
  return next as T
}

const FILE_MODE = 0o644

const downwardDefaults = (item: DownwardAPIVolumeFile): DownwardAPIVolumeFile =>
  changeField(
    changeField(item, 'fieldRef', (ref) => withDefaults(ref, { apiVersion: 'v1' })),
    'resourceFieldRef',
    resourceFieldDefaults,
  )

const projectionDefaults = (projection: VolumeProjection): VolumeProjection => {
  const next = changeField(projection, 'serviceAccountToken', (token) => withDefaults(token, { expirationSeconds: 3600 }))
  return changeField(next, 'downwardAPI', (api) => changeField(api, 'items', (items) => mapItems(items, downwardDefaults)))
}

export function volumeDefaults(volume: Volume): Volume {
  if (!Object.entries(volume).some(([field, value]) => field !== 'name' && value !== undefined && value !== null))
    return { ...volume, emptyDir: {} }
  let next = changeField(volume, 'secret', (secret) => withDefaults(secret, { defaultMode: FILE_MODE }))
  next = changeField(next, 'configMap', (configMap) => withDefaults(configMap, { defaultMode: FILE_MODE }))
  next = changeField(next, 'downwardAPI', (api) =>
    changeField(withDefaults(api, { defaultMode: FILE_MODE }), 'items', (items) => mapItems(items, downwardDefaults)),
  )
  next = changeField(next, 'projected', (projected) =>
    changeField(withDefaults(projected, { defaultMode: FILE_MODE }), 'sources', (sources) => mapItems(sources, projectionDefaults)),
  )
  next = sourceDefaults(next)
  next = changeField(next, 'image', (image) => withDefaults(image, { pullPolicy: pullPolicyOf(image.reference) }))
  return changeField(next, 'ephemeral', (ephemeral) =>
    changeField(ephemeral, 'volumeClaimTemplate', (template) =>
      changeField(template, 'spec', (spec) => withPointerDefaults(spec, { volumeMode: 'Filesystem' })),
    ),
  )
}

export function podSpecDefaults(spec: PodSpec): PodSpec {
  let next = withDefaults(spec, {
    dnsPolicy: 'ClusterFirst',
    restartPolicy: 'Always',
    securityContext: {},
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
  })
  // serviceAccount is the old name of serviceAccountName: either sets both, and the new one wins.
  const account = next.serviceAccountName || next.serviceAccount
  if (account && (next.serviceAccountName !== account || next.serviceAccount !== account)) {
    next = { ...next, serviceAccountName: account, serviceAccount: account }
  }
  next = changeField(next, 'containers', (containers) => mapItems(containers, containerDefaults))
  next = changeField(next, 'initContainers', (containers) => mapItems(containers, containerDefaults))
  next = changeField(next, 'ephemeralContainers', (containers) => mapItems(containers, containerDefaults))
  return changeField(next, 'volumes', (volumes) => mapItems(volumes, volumeDefaults))
}

export const podTemplateDefaults = (template: PodTemplateSpec): PodTemplateSpec => changeField(template, 'spec', podSpecDefaults)
