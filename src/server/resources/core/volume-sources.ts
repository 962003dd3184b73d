/**
 * The sources of volumes, in pods and in PersistentVolumes: which fields each must have, and what else must hold. A volume has
 * exactly one; of several, the first in upstream's order is looked into and the others are refused.
 */
import type {
  AzureDiskVolumeSource,
  CSIPersistentVolumeSource,
  FCVolumeSource,
  FlexVolumeSource,
  ISCSIVolumeSource,
  SecretReference,
} from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { checkFormat, checkInRange, forbidden, invalid, notSupported, required, tooLong, type FieldErrors } from '../rules.ts'
import { validateDescendingPath, validateNoBacksteps } from './local-path-validation.ts'

type Value = Readonly<Record<string, unknown>>

export interface SourceRules {
  readonly name: string
  /** How upstream names it where it is one too many. */
  readonly extraName?: string
  /** How upstream names it in paths. */
  readonly path?: string
  /** Texts and lists that must not be empty. */
  readonly requires?: readonly string[]
  /** `volume` has what stands beside the source. */
  check?(errors: FieldErrors, path: string, source: object, volume: object): void
}

const HOST_PATH_TYPES = ['', 'BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket']

const partition = (errors: FieldErrors, path: string, source: Value): void => {
  const number = (source['partition'] as number | undefined) ?? 0
  if (number < 0 || number > 255) errors.push(invalid(`${path}.partition`, number, 'must be between 1 and 255, inclusive'))
}

const isEmpty = (value: unknown): boolean => value === undefined || value === '' || (Array.isArray(value) && value.length === 0)

export function requireFields(errors: FieldErrors, path: string, source: object, names: readonly string[]): void {
  for (const name of names) if (isEmpty((source as Value)[name])) errors.push(required(`${path}.${name}`))
}

/** `inner` are those of its fields that must be there. */
function secretRef(errors: FieldErrors, path: string, source: Value, inner: readonly string[]): void {
  const ref = source['secretRef'] as Value | undefined
  if (ref) requireFields(errors, `${path}.secretRef`, ref, inner)
}

const INITIATORS: readonly (readonly [string, RegExp])[] = [
  ['iqn', /iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$/],
  ['eui', /^eui.[A-Za-z0-9]{16}$/],
  ['naa', /^naa.[A-Za-z0-9]{32}$/],
]

function initiator(errors: FieldErrors, path: string, name: string, detail: string): void {
  const [, pattern] = INITIATORS.find(([prefix]) => name.startsWith(prefix)) ?? []
  if (!pattern) errors.push(invalid(path, name, detail))
  else if (!pattern.test(name)) errors.push(invalid(path, name, 'must be valid format'))
}

/** Fields that are no text are refused when bodies are read. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const iscsi =
  (isPersistent: boolean) =>
  (errors: FieldErrors, path: string, source: Value): void => {
    const {
      targetPortal = '',
      iqn = '',
      lun = 0,
      initiatorName,
      chapAuthDiscovery,
      chapAuthSession,
    } = source as unknown as Partial<ISCSIVolumeSource>
    const detail = isPersistent ? 'must be valid format' : 'must be valid format starting with iqn, eui, or naa'
    if (!targetPortal) errors.push(required(`${path}.targetPortal`))
    if (!iqn) errors.push(required(`${path}.iqn`))
    else initiator(errors, `${path}.iqn`, iqn, detail)
    checkInRange(errors, `${path}.lun`, lun, 0, 255)
    if ((chapAuthDiscovery || chapAuthSession) && !source['secretRef']) errors.push(required(`${path}.secretRef`))
    if (isPersistent) secretRef(errors, path, source, ['name'])
    if (initiatorName !== undefined) initiator(errors, `${path}.initiatorname`, initiatorName, detail)
  }

export const ISCSI_NAME_TOO_LONG =
  'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.'
export const isTooLongForIscsi = (name: string, source: ISCSIVolumeSource | undefined): boolean =>
  source?.initiatorName !== undefined && `${name}:${source.targetPortal ?? ''}`.length > 64

function fibreChannel(errors: FieldErrors, path: string, source: Value): void {
  const { targetWWNs = [], wwids = [], lun } = source as FCVolumeSource
  if (targetWWNs.length === 0 && wwids.length === 0)
    errors.push(required(`${path}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both'))
  if (targetWWNs.length > 0 && wwids.length > 0)
    errors.push(invalid(`${path}.targetWWNs`, targetWWNs, 'targetWWNs and wwids can not be specified simultaneously'))
  if (targetWWNs.length === 0) return
  if (lun === undefined) errors.push(required(`${path}.lun`, 'lun is required if targetWWNs is specified'))
  else checkInRange(errors, `${path}.lun`, lun, 0, 255)
}

function flexOptions(errors: FieldErrors, path: string, source: Value): void {
  for (const key of Object.keys((source as unknown as FlexVolumeSource).options ?? {})) {
    const namespace = `.${key.split('/', 1)[0]!.toLowerCase()}`
    if (namespace.endsWith('.kubernetes.io') || namespace.endsWith('.k8s.io'))
      errors.push(invalid(`${path}.options[${key}]`, key, 'kubernetes.io and k8s.io namespaces are reserved'))
  }
}

function quobyte(errors: FieldErrors, path: string, source: Value): void {
  const { registry = '', tenant = '' } = source as { readonly registry?: string; readonly tenant?: string }
  const PAIRS = 'must be a host:port pair or multiple pairs separated by commas'
  if (!registry) errors.push(required(`${path}.registry`, PAIRS))
  else if (tenant.length >= 65) errors.push(required(`${path}.tenant`, 'must be a UUID and may not exceed a length of 64 characters'))
  else {
    for (const pair of registry.split(','))
      if (!/^([^:[\]]*|\[[^[\]]*\]):[^:[\]]*$/.test(pair)) errors.push(invalid(`${path}.registry`, registry, PAIRS))
  }
  requireFields(errors, path, source, ['volume'])
}

function flocker(errors: FieldErrors, path: string, source: Value): void {
  const { datasetName = '', datasetUUID = '' } = source as { readonly datasetName?: string; readonly datasetUUID?: string }
  if (!datasetName && !datasetUUID) errors.push(required(path, 'one of datasetName and datasetUUID is required'))
  if (datasetName && datasetUUID) errors.push(invalid(path, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'))
  if (datasetName.includes('/')) errors.push(invalid(`${path}.datasetName`, datasetName, "must not contain '/'"))
}

function azureDisk(errors: FieldErrors, path: string, source: Value): void {
  const { cachingMode, kind, diskURI = '' } = source as unknown as Partial<AzureDiskVolumeSource>
  const closed = (field: string, value: string | undefined, supported: readonly string[]) => {
    if (value !== undefined && !supported.includes(value)) errors.push(notSupported(`${path}.${field}`, value, supported))
  }
  closed('cachingMode', cachingMode, ['None', 'ReadOnly', 'ReadWrite'])
  closed('kind', kind, ['Dedicated', 'Managed', 'Shared'])
  if (kind === undefined) return
  const [prefix, form] =
    kind === 'Managed'
      ? ['/subscriptions/', '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}']
      : ['https://', 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd']
  if (!diskURI.startsWith(prefix)) errors.push(notSupported(`${path}.diskURI`, diskURI, [form]))
}

const storageOs =
  (inner: readonly string[]) =>
  (errors: FieldErrors, path: string, source: Value): void => {
    const { volumeName = '', volumeNamespace = '' } = source as { readonly volumeName?: string; readonly volumeNamespace?: string }
    if (volumeName) checkFormat(errors, `${path}.volumeName`, volumeName, dns1123LabelFaults)
    if (volumeNamespace) checkFormat(errors, `${path}.volumeNamespace`, volumeNamespace, dns1123LabelFaults)
    secretRef(errors, path, source, inner)
  }

function hostPath(errors: FieldErrors, path: string, source: Value): void {
  const { path: target = '', type } = source as { readonly path?: string; readonly type?: string }
  if (!target) return
  validateNoBacksteps(errors, `${path}.path`, target)
  if (type !== undefined && !HOST_PATH_TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, HOST_PATH_TYPES))
}

function nfs(errors: FieldErrors, path: string, source: Value): void {
  const target = (source['path'] as string | undefined) ?? ''
  if (!target.startsWith('/')) errors.push(invalid(`${path}.path`, target, 'must be an absolute path'))
}

const DRIVER_NAME_BYTES = 63

export function validateDriverName(errors: FieldErrors, path: string, name: string | undefined): void {
  if (!name) return void errors.push(required(path))
  if (name.length > DRIVER_NAME_BYTES) errors.push(tooLong(path, DRIVER_NAME_BYTES))
  for (const fault of dns1123SubdomainFaults(name.toLowerCase())) errors.push(invalid(path, name, fault))
}

function driver(errors: FieldErrors, path: string, source: Value): void {
  validateDriverName(errors, `${path}.driver`, source['driver'] as string | undefined)
}

function csi(errors: FieldErrors, path: string, source: Value): void {
  driver(errors, path, source)
  const ref = source['nodePublishSecretRef'] as SecretReference | undefined
  if (!ref) return
  if (!ref.name) errors.push(required(`${path}.nodePublishSecretRef.name`))
  else checkFormat(errors, `${path}.name`, ref.name, dns1123SubdomainFaults)
}

const SECRET_REFS = ['controllerPublishSecretRef', 'controllerExpandSecretRef', 'nodePublishSecretRef', 'nodeExpandSecretRef'] as const

function persistentCsi(errors: FieldErrors, path: string, source: Value): void {
  driver(errors, path, source)
  requireFields(errors, path, source, ['volumeHandle'])
  for (const name of SECRET_REFS) {
    const ref = (source as unknown as CSIPersistentVolumeSource)[name]
    if (!ref) continue
    for (const [field, format] of [
      ['name', dns1123SubdomainFaults],
      ['namespace', dns1123LabelFaults],
    ] as const) {
      const value = ref[field]
      if (!value) errors.push(required(`${path}.${name}.${field}`))
      else checkFormat(errors, `${path}.${name}.${field}`, value, format)
    }
  }
}

/** Those that pods and PersistentVolumes have alike. */
const SHARED = {
  hostPath: { name: 'hostPath', requires: ['path'], check: hostPath },
  gcePersistentDisk: { name: 'gcePersistentDisk', path: 'persistentDisk', requires: ['pdName'], check: partition },
  awsElasticBlockStore: { name: 'awsElasticBlockStore', requires: ['volumeID'], check: partition },
  nfs: { name: 'nfs', requires: ['server', 'path'], check: nfs },
  rbd: { name: 'rbd', requires: ['monitors', 'image'] },
  quobyte: { name: 'quobyte', check: quobyte },
  cephfs: { name: 'cephfs', extraName: 'cephFS', requires: ['monitors'] },
  flocker: { name: 'flocker', check: flocker },
  fc: { name: 'fc', check: fibreChannel },
  flexVolume: { name: 'flexVolume', requires: ['driver'], check: flexOptions },
  vsphereVolume: { name: 'vsphereVolume', requires: ['volumePath'] },
  photonPersistentDisk: { name: 'photonPersistentDisk', requires: ['pdID'] },
  portworxVolume: { name: 'portworxVolume', requires: ['volumeID'] },
  azureDisk: { name: 'azureDisk', requires: ['diskName', 'diskURI'], check: azureDisk },
  scaleIO: { name: 'scaleIO', requires: ['gateway', 'system', 'volumeName'] },
} as const satisfies Readonly<Record<string, SourceRules>>

/** What a pod's volume may come from beside what says more than a table can (see volume-validation.ts), in upstream's order. */
export const podSources = (more: Readonly<Record<string, NonNullable<SourceRules['check']>>>): readonly SourceRules[] => [
  { name: 'emptyDir', check: more['emptyDir']! },
  SHARED.hostPath,
  {
    name: 'gitRepo',
    requires: ['repository'],
    check: (errors, path, source: Value) => validateDescendingPath(errors, `${path}.directory`, textOf(source['directory'])),
  },
  SHARED.gcePersistentDisk,
  SHARED.awsElasticBlockStore,
  { name: 'secret', requires: ['secretName'], check: more['secret']! },
  SHARED.nfs,
  { name: 'iscsi', check: iscsi(false) },
  { name: 'glusterfs', requires: ['endpoints', 'path'] },
  SHARED.flocker,
  { name: 'persistentVolumeClaim', requires: ['claimName'] },
  SHARED.rbd,
  { name: 'cinder', requires: ['volumeID'], check: (errors, path, source: Value) => secretRef(errors, path, source, ['name']) },
  SHARED.cephfs,
  SHARED.quobyte,
  // The name is upstream's slip of the pen.
  { name: 'downwardAPI', extraName: 'downwarAPI', check: more['downwardAPI']! },
  SHARED.fc,
  SHARED.flexVolume,
  { name: 'configMap', requires: ['name'], check: more['configMap']! },
  { name: 'azureFile', requires: ['secretName', 'shareName'] },
  SHARED.vsphereVolume,
  SHARED.photonPersistentDisk,
  SHARED.portworxVolume,
  SHARED.azureDisk,
  { name: 'storageos', requires: ['volumeName'], check: storageOs(['name']) },
  { name: 'projected', check: more['projected']! },
  SHARED.scaleIO,
  { name: 'csi', check: csi },
  { name: 'ephemeral', check: more['ephemeral']! },
  { name: 'image', check: more['image']! },
]

function glusterNamespace(errors: FieldErrors, path: string, { endpointsNamespace: namespace }: Value): void {
  const at = `${path}.endpointsNamespace`
  if (namespace === '') errors.push(invalid(at, namespace, 'if the endpointnamespace is set, it must be a valid namespace name'))
  else if (namespace !== undefined) checkFormat(errors, at, textOf(namespace), dns1123LabelFaults)
}

/** In upstream's order. */
export const PERSISTENT_SOURCES: readonly SourceRules[] = [
  SHARED.hostPath,
  SHARED.gcePersistentDisk,
  SHARED.awsElasticBlockStore,
  { name: 'glusterfs', requires: ['endpoints', 'path'], check: glusterNamespace },
  SHARED.flocker,
  SHARED.nfs,
  SHARED.rbd,
  SHARED.quobyte,
  SHARED.cephfs,
  { name: 'iscsi', check: iscsi(true) },
  {
    name: 'cinder',
    requires: ['volumeID'],
    check: (errors, path, source: Value) => secretRef(errors, path, source, ['name', 'namespace']),
  },
  SHARED.fc,
  SHARED.flexVolume,
  {
    name: 'azureFile',
    requires: ['secretName', 'shareName'],
    check(errors, path, { secretNamespace }: Value) {
      if (secretNamespace === '') errors.push(required(`${path}.secretNamespace`))
    },
  },
  SHARED.vsphereVolume,
  SHARED.photonPersistentDisk,
  SHARED.portworxVolume,
  SHARED.azureDisk,
  SHARED.scaleIO,
  {
    name: 'local',
    requires: ['path'],
    check(errors, path, source: Value, volume: Value) {
      validateNoBacksteps(errors, `${path}.path`, textOf(source['path']))
      if (!volume['nodeAffinity']) errors.push(required(path.replace(/local$/, 'nodeAffinity'), 'Local volume requires node affinity'))
    },
  },
  { name: 'storageos', requires: ['volumeName'], check: storageOs(['name', 'namespace']) },
  { name: 'csi', check: persistentCsi },
]

/** Looks into the first source and refuses the others; returns the names of those that are there. */
export function validateSources(errors: FieldErrors, path: string, volume: object, rules: readonly SourceRules[]): readonly string[] {
  const found: string[] = []
  for (const { name, extraName = name, path: segment = name, requires = [], check } of rules) {
    const source = (volume as Value)[name] as Value | undefined
    if (source === undefined) continue
    found.push(name)
    // A flex volume beside others is looked into all the same, when it is a PersistentVolume's.
    if (found.length > 1 && !(name === 'flexVolume' && rules === PERSISTENT_SOURCES)) {
      errors.push(forbidden(`${path}.${extraName}`, 'may not specify more than 1 volume type'))
      continue
    }
    requireFields(errors, `${path}.${segment}`, source, requires)
    check?.(errors, `${path}.${segment}`, source, volume)
  }
  if (found.length === 0) errors.push(required(path, 'must specify a volume type'))
  return found
}
