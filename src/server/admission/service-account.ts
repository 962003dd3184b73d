/**
 * Every pod runs as a service account: the default one when it names none. Its containers find a token, the cluster's
 * certificate and their namespace in a volume that is made here, unless the pod or the account does not want that.
 */
import type { Container, EphemeralContainer, Pod, PodSpec, ServiceAccount, Volume, VolumeMount } from '../../api/generated/core/v1.ts'
import { nameSuffix, type Random } from '../../base/random.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { changeSpec, containersOf, isMirrorPod, podOf } from './pods.ts'

const DEFAULT_ACCOUNT = 'default'
const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
const VOLUME_PREFIX = 'kube-api-access-'
const ENFORCE_SECRETS = 'kubernetes.io/enforce-mountable-secrets'
/** An hour and seven seconds: nodes renew it, and the odd number shows in audits that it is the extended kind (KEP-1205). */
const TOKEN_SECONDS = 3607
const FILE_MODE = 0o644

const tokenVolume = (name: string): Volume => ({
  name,
  projected: {
    defaultMode: FILE_MODE,
    sources: [
      { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
    ],
  },
})

function mountToken(spec: PodSpec, random: Random): PodSpec {
  const existing = spec.volumes?.find((volume) => volume.name.startsWith(VOLUME_PREFIX))
  const name = existing?.name ?? `${VOLUME_PREFIX}${nameSuffix(random)}`
  const mount: VolumeMount = { name, readOnly: true, mountPath: MOUNT_PATH }
  let isNeeded = false
  const withMount = (container: Container): Container => {
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === MOUNT_PATH)) return container
    isNeeded = true
    return { ...container, volumeMounts: [...(container.volumeMounts ?? []), mount] }
  }
  const containers = (spec.containers ?? []).map(withMount)
  const initContainers = spec.initContainers?.map(withMount)
  if (!isNeeded) return spec
  return {
    ...spec,
    containers,
    ...(initContainers ? { initContainers } : {}),
    ...(existing ? {} : { volumes: [...(spec.volumes ?? []), tokenVolume(name)] }),
  }
}

function accountOf(attributes: AdmissionAttributes, name: string): ServiceAccount {
  const namespace = attributes.namespace ?? ''
  const account = attributes.context.read.get('v1/ServiceAccount', namespace, name)
  if (!account)
    throw admissionDenied(attributes, `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`)
  return account
}

const wantsToken = (account: ServiceAccount, spec: PodSpec): boolean =>
  spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true

const isTrue = (text: string | undefined): boolean => text !== undefined && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)

/** The first secret that a container refers to and may not, as a reason. */
function secretProblem(
  container: Container | EphemeralContainer,
  kind: string,
  account: string,
  allowed: ReadonlySet<string>,
): string | undefined {
  const why = `is not allowed because service account ${account} does not reference that secret`
  for (const { name, valueFrom } of container.env ?? []) {
    const secret = valueFrom?.secretKeyRef?.name
    if (secret !== undefined && !allowed.has(secret))
      return `${kind} ${container.name} with envVar ${name} referencing secret.secretName="${secret}" ${why}`
  }
  for (const { secretRef } of container.envFrom ?? []) {
    const secret = secretRef?.name
    if (secret !== undefined && !allowed.has(secret))
      return `${kind} ${container.name} with envFrom referencing secret.secretName="${secret}" ${why}`
  }
  return undefined
}

function limitSecrets(pod: Pod, account: ServiceAccount): string | undefined {
  const accountName = account.metadata?.name ?? ''
  const allowed = new Set((account.secrets ?? []).map((secret) => secret.name ?? ''))
  for (const { secret } of pod.spec?.volumes ?? []) {
    const name = secret?.secretName ?? ''
    if (secret && !allowed.has(name)) {
      return `volume with secret.secretName="${name}" is not allowed because service account ${accountName} does not reference that secret`
    }
  }
  for (const { container, kind } of containersOf(pod.spec)) {
    const problem = secretProblem(container, kind, accountName, allowed)
    if (problem !== undefined) return problem
  }
  const pullSecrets = new Set((account.imagePullSecrets ?? []).map((secret) => secret.name ?? ''))
  const index = (pod.spec?.imagePullSecrets ?? []).findIndex((secret) => !pullSecrets.has(secret.name ?? ''))
  return index < 0
    ? undefined
    : `imagePullSecrets[${index}].name="${pod.spec?.imagePullSecrets?.[index]?.name ?? ''}" is not allowed because service account ${accountName} does not reference that imagePullSecret`
}

const referencesSecrets = (pod: Pod): boolean =>
  (pod.spec?.volumes ?? []).some((volume) => volume.secret || volume.projected?.sources?.some((source) => source.secret)) ||
  (pod.spec?.imagePullSecrets?.length ?? 0) > 0 ||
  containersOf(pod.spec).some(
    ({ container }) =>
      container.env?.some((variable) => variable.valueFrom?.secretKeyRef) || container.envFrom?.some((source) => source.secretRef),
  )

function validateMirrorPod(attributes: AdmissionAttributes, pod: Pod): void {
  if (pod.spec?.serviceAccountName) throw admissionDenied(attributes, 'a mirror pod may not reference service accounts')
  if (referencesSecrets(pod)) throw admissionDenied(attributes, 'a mirror pod may not reference secrets')
  if (pod.spec?.volumes?.some((volume) => volume.projected?.sources?.some((source) => source.serviceAccountToken))) {
    throw admissionDenied(attributes, 'a mirror pod may not use ServiceAccountToken volume projections')
  }
}

export const serviceAccount: AdmissionPlugin = {
  name: 'ServiceAccount',
  handles: ({ operation, resource, subresource }) =>
    resource.resource === 'pods' &&
    resource.group === '' &&
    ((operation === 'CREATE' && subresource === undefined) || (operation === 'UPDATE' && subresource === 'ephemeralcontainers')),
  admit(attributes) {
    const pod = podOf(attributes)
    if (!pod || attributes.operation !== 'CREATE' || isMirrorPod(pod)) return pod
    return changeSpec(pod, (spec) => {
      const name = spec.serviceAccountName || DEFAULT_ACCOUNT
      const account = accountOf(attributes, name)
      let next: PodSpec = spec.serviceAccountName ? spec : { ...spec, serviceAccountName: name, serviceAccount: name }
      if (wantsToken(account, next)) next = mountToken(next, attributes.context.runtime.random)
      if (!next.imagePullSecrets?.length && account.imagePullSecrets?.length) {
        next = { ...next, imagePullSecrets: account.imagePullSecrets.map((secret) => ({ name: secret.name ?? '' })) }
      }
      return next
    })
  },
  validate(attributes) {
    const pod = podOf(attributes)
    if (!pod) return
    if (attributes.operation === 'CREATE' && isMirrorPod(pod)) return validateMirrorPod(attributes, pod)
    const name = pod.spec?.serviceAccountName
    if (!name) throw admissionDenied(attributes, `no service account specified for pod ${attributes.namespace}/${pod.metadata?.name ?? ''}`)
    const account = accountOf(attributes, name)
    if (!isTrue(account.metadata?.annotations?.[ENFORCE_SECRETS])) return
    const allowed = new Set((account.secrets ?? []).map((secret) => secret.name ?? ''))
    const problem =
      attributes.operation === 'CREATE'
        ? limitSecrets(pod, account)
        : pod.spec?.ephemeralContainers
            ?.map((container) => secretProblem(container, 'ephemeral container', account.metadata?.name ?? '', allowed))
            .find((text) => text !== undefined)
    if (problem !== undefined) throw admissionDenied(attributes, problem)
  },
}
