/** Rules of the volumes of a pod. Sources of single vendors, long replaced by CSI, are taken as they are. */
import type { KeyToPath, ProjectedVolumeSource, Volume, VolumeProjection } from '../../../api/generated/core/v1.ts'
import { dns1123LabelFaults } from '../../../api/names.ts'
import { compareQuantities } from '../../../api/quantity.ts'
import { checkFormat, checkOneOf, duplicate, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import { validateDownwardFile } from './downward-api-validation.ts'
import { FILE_MODE_PROBLEM, isFileMode, validateLocalPath } from './local-path-validation.ts'
import { validateClaimSpec } from './persistent-volume-claim.ts'
import { VOLUME_SOURCES } from './volume-sources.ts'

const HOST_PATH_TYPES = ['BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket']
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

function validateSource(errors: FieldErrors, path: string, volume: Volume): void {
  const [, ...extra] = VOLUME_SOURCES.filter((name) => volume[name as keyof Volume] !== undefined)
  for (const name of extra) errors.push(forbidden(`${path}.${name}`, 'may not specify more than 1 volume type'))
  const { emptyDir, hostPath, secret, configMap, persistentVolumeClaim, downwardAPI, projected, nfs, csi, ephemeral, image } = volume
  if (emptyDir?.sizeLimit !== undefined && compareQuantities(emptyDir.sizeLimit, '0') < 0) {
    errors.push(forbidden(`${path}.emptyDir.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
  }
  if (hostPath) {
    const at = `${path}.hostPath`
    if (!hostPath.path) errors.push(required(`${at}.path`))
    else {
      if (hostPath.path.split('/').includes('..')) errors.push(invalid(`${at}.path`, hostPath.path, "must not contain '..'"))
      if (hostPath.type) checkOneOf(errors, `${at}.type`, hostPath.type, HOST_PATH_TYPES)
    }
  }
  if (secret) {
    if (!secret.secretName) errors.push(required(`${path}.secret.secretName`))
    checkMode(errors, `${path}.secret.defaultMode`, secret.defaultMode)
    validateItems(errors, `${path}.secret`, secret.items)
  }
  if (configMap) {
    if (!configMap.name) errors.push(required(`${path}.configMap.name`))
    checkMode(errors, `${path}.configMap.defaultMode`, configMap.defaultMode)
    validateItems(errors, `${path}.configMap`, configMap.items)
  }
  if (persistentVolumeClaim && !persistentVolumeClaim.claimName) errors.push(required(`${path}.persistentVolumeClaim.claimName`))
  if (downwardAPI) {
    checkMode(errors, `${path}.downwardAPI.defaultMode`, downwardAPI.defaultMode)
    for (const file of downwardAPI.items ?? []) validateDownwardFile(errors, `${path}.downwardAPI`, file)
  }
  if (projected) validateProjected(errors, `${path}.projected`, projected)
  if (nfs) {
    if (!nfs.server) errors.push(required(`${path}.nfs.server`))
    if (!nfs.path) errors.push(required(`${path}.nfs.path`))
    else if (!nfs.path.startsWith('/')) errors.push(invalid(`${path}.nfs.path`, nfs.path, 'must be an absolute path'))
  }
  if (csi && !csi.driver) errors.push(required(`${path}.csi.driver`))
  if (ephemeral) {
    if (!ephemeral.volumeClaimTemplate) errors.push(required(`${path}.ephemeral.volumeClaimTemplate`))
    else validateClaimSpec(errors, `${path}.ephemeral.volumeClaimTemplate.spec`, ephemeral.volumeClaimTemplate.spec ?? {})
  }
  if (image) {
    if (!image.reference) errors.push(required(`${path}.image.reference`))
    checkOneOf(errors, `${path}.image.pullPolicy`, image.pullPolicy, ['Always', 'IfNotPresent', 'Never'])
  }
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
    validateSource(errors, at, volume)
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
