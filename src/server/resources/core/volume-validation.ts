/** Rules of the volumes of a pod; volume-sources.ts lists what they may come from. */
import type {
  DownwardAPIVolumeSource,
  EmptyDirVolumeSource,
  EphemeralVolumeSource,
  ImageVolumeSource,
  KeyToPath,
  ProjectedVolumeSource,
  SecretVolumeSource,
  Volume,
  VolumeProjection,
} from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import { validateTemplateMeta } from '../object-meta.ts'
import { checkFormat, checkOneOf, duplicate, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import { validateDownwardFile } from './downward-api-validation.ts'
import { FILE_MODE_PROBLEM, isFileMode, validateLocalPath } from './local-path-validation.ts'
import { validateClaimSpec } from './persistent-volume-claim.ts'
import { isTooLongForIscsi, ISCSI_NAME_TOO_LONG, podSources, validateSources } from './volume-sources.ts'

const KEY_TYPES = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519']

function checkMode(errors: FieldErrors, path: string, mode: number | undefined): void {
  if (mode !== undefined && !isFileMode(mode)) errors.push(invalid(path, mode, FILE_MODE_PROBLEM))
}

function validateItems(errors: FieldErrors, path: string, items: readonly KeyToPath[] | undefined): void {
  items?.forEach((item, i) => {
    const at = `${path}.items[${i}]`
    if (!item.key) errors.push(required(`${at}.key`))
    if (!item.path) errors.push(required(`${at}.path`))
    validateLocalPath(errors, `${at}.path`, item.path ?? '')
    checkMode(errors, `${at}.mode`, item.mode)
  })
}

/** The path at which a token appears, said without the source's index as upstream does. */
function validateToken(
  errors: FieldErrors,
  path: string,
  volumePath: string,
  token: NonNullable<VolumeProjection['serviceAccountToken']>,
): void {
  const seconds = token.expirationSeconds ?? 3600
  if (seconds < 600) errors.push(invalid(`${path}.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes'))
  if (seconds > 2 ** 32) errors.push(invalid(`${path}.expirationSeconds`, seconds, 'may not specify a duration larger than 2^32 seconds'))
  if (!token.path) errors.push(required(`${volumePath}.path`))
  else validateLocalPath(errors, `${volumePath}.path`, token.path)
}

function validateBundle(errors: FieldErrors, path: string, bundle: NonNullable<VolumeProjection['clusterTrustBundle']>): void {
  if (bundle.name !== undefined && bundle.signerName !== undefined)
    errors.push(invalid(path, bundle, 'only one of name and signerName may be used'))
  else if (bundle.name !== undefined) {
    if (!bundle.name) errors.push(required(`${path}.name`, 'must be a valid object name'))
    if (bundle.labelSelector)
      errors.push(invalid(`${path}.labelSelector`, bundle.labelSelector, 'labelSelector must be unset if name is specified'))
  } else if (bundle.signerName !== undefined) {
    if (!bundle.signerName) errors.push(required(`${path}.signerName`, 'must be a valid signer name'))
  } else errors.push(required(path, 'either name or signerName must be specified'))
  if (!bundle.path) errors.push(required(`${path}.path`))
  validateLocalPath(errors, `${path}.path`, bundle.path ?? '')
}

/** What a source is called in the error about two files at one path. */
function pathsOf(source: VolumeProjection): readonly { readonly path: string; readonly label: string }[] {
  const all = [
    ...(source.secret?.items ?? []).map((item) => ({ path: item.path, label: source.secret?.name ?? '' })),
    ...(source.configMap?.items ?? []).map((item) => ({ path: item.path, label: source.configMap?.name ?? '' })),
    ...(source.downwardAPI?.items ?? []).map((item) => ({ path: item.path, label: item.path })),
    ...[
      source.clusterTrustBundle?.path,
      source.podCertificate?.credentialBundlePath,
      source.podCertificate?.keyPath,
      source.podCertificate?.certificateChainPath,
    ]
      .filter((path) => path !== undefined)
      .map((path) => ({ path, label: path })),
  ]
  return all.filter(({ path }) => path)
}

function validateProjected(errors: FieldErrors, path: string, projected: ProjectedVolumeSource): void {
  checkMode(errors, `${path}.defaultMode`, projected.defaultMode)
  const taken = new Set<string>()
  projected.sources?.forEach((source, i) => {
    const at = `${path}.sources[${i}]`
    for (const kind of ['secret', 'configMap'] as const) {
      const ref = source[kind]
      if (!ref) continue
      if (!ref.name) errors.push(required(`${at}.${kind}.name`))
      validateItems(errors, `${at}.${kind}`, ref.items)
    }
    for (const file of source.downwardAPI?.items ?? []) validateDownwardFile(errors, `${at}.downwardAPI`, file)
    if (source.serviceAccountToken) validateToken(errors, `${at}.serviceAccountToken`, path, source.serviceAccountToken)
    if (source.clusterTrustBundle) validateBundle(errors, `${at}.clusterTrustBundle`, source.clusterTrustBundle)
    if (source.podCertificate) {
      const { keyType, credentialBundlePath, keyPath, certificateChainPath } = source.podCertificate
      checkOneOf(errors, `${at}.podCertificate.keyType`, keyType, KEY_TYPES)
      if (!credentialBundlePath && !keyPath && !certificateChainPath) {
        errors.push(required(`${at}.podCertificate`, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'))
      }
    }
    for (const { path: file, label } of pathsOf(source)) {
      if (taken.has(file)) errors.push(invalid(path, label, 'conflicting duplicate paths'))
      taken.add(file)
    }
    if (Object.values(source).filter((value) => value !== undefined).length > 1) {
      errors.push(forbidden(at, 'may not specify more than 1 volume type per source'))
    }
  })
}

const SOURCES = podSources({
  emptyDir(errors, path, { sizeLimit }: EmptyDirVolumeSource) {
    if (sizeLimit !== undefined && compareQuantities(sizeLimit, '0') < 0)
      errors.push(forbidden(`${path}.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
  },
  secret: validateFiles,
  configMap: validateFiles,
  downwardAPI(errors, path, source: DownwardAPIVolumeSource) {
    checkMode(errors, `${path}.defaultMode`, source.defaultMode)
    for (const file of source.items ?? []) validateDownwardFile(errors, path, file)
  },
  projected: validateProjected,
  ephemeral(errors, path, { volumeClaimTemplate: template }: EphemeralVolumeSource) {
    const at = `${path}.volumeClaimTemplate`
    if (!template) return void errors.push(required(at))
    validateTemplateMeta(errors, `${at}.metadata`, template.metadata)
    validateClaimSpec(errors, `${at}.spec`, template.spec ?? {})
  },
  image(errors, path, { reference, pullPolicy }: ImageVolumeSource) {
    if (!reference) errors.push(required(`${path}.reference`))
    checkOneOf(errors, `${path}.pullPolicy`, pullPolicy, ['Always', 'IfNotPresent', 'Never'])
  },
})

/** Of the secret or config map. */
function validateFiles(errors: FieldErrors, path: string, source: SecretVolumeSource): void {
  checkMode(errors, `${path}.defaultMode`, source.defaultMode)
  validateItems(errors, path, source.items)
}

function validateSource(errors: FieldErrors, path: string, volume: Volume, podName: string | undefined): void {
  const [first] = validateSources(errors, path, volume, SOURCES)
  const { name = '' } = volume as Partial<Volume>
  if (first === 'iscsi' && isTooLongForIscsi(name, volume.iscsi)) errors.push(invalid(`${path}.name`, name, ISCSI_NAME_TOO_LONG))
  if (first !== 'ephemeral' || !podName || !name) return
  const claim = `${podName}-${name}`
  for (const fault of dns1123SubdomainFaults(claim))
    errors.push(invalid(`${path}.name`, name, `PVC name ${JSON.stringify(claim)}: ${fault}`))
}

/** Adds what is wrong with the volumes and returns those that mounts may name: the good ones, by name. */
export function validateVolumes(
  errors: FieldErrors,
  path: string,
  volumes: readonly Volume[] | undefined,
  podName: string | undefined,
): ReadonlyMap<string, Volume> {
  const good = new Map<string, Volume>()
  const created = new Set((volumes ?? []).filter((volume) => volume.ephemeral && podName).map((volume) => `${podName}-${volume.name}`))
  volumes?.forEach((volume, i) => {
    const at = `${path}[${i}]`
    const before = errors.length
    validateSource(errors, at, volume, podName)
    if (!volume.name) errors.push(required(`${at}.name`))
    else checkFormat(errors, `${at}.name`, volume.name, dns1123LabelFaults)
    if (good.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name))
    if (errors.length === before) good.set(volume.name, volume)
    const claim = volume.persistentVolumeClaim?.claimName
    if (claim && created.has(claim)) {
      errors.push(
        invalid(`${at}.persistentVolumeClaim.claimName`, claim, 'must not reference a PVC that gets created for an ephemeral volume'),
      )
    }
  })
  return good
}
