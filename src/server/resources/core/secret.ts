/** Secrets: data that few may see, so no message repeats any of it. */
import type { Secret } from '../../../api/generated/core/v1.ts'
import { scanJson } from '../../../api/json-scan.ts'
import { fromBase64, pemBlocks } from '../../../base/der.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { withDefaults, withField } from '../immutable.ts'
import { checkImmutable, invalid, required, type FieldErrors } from '../rules.ts'
import { base64Length, checkNotImmutable, checkSize, validateKeys } from './config-data.ts'

const ACCOUNT_NAME = 'kubernetes.io/service-account.name'
const REDACTED = '<secret contents redacted>'

/** What keeps base64 text from holding a JSON object, in the words of Go's decoder. */
function jsonObjectFault(base64: string): string | undefined {
  const text = textOf(base64)
  const { error } = scanJson(text)
  if (error !== undefined) return error
  const value: unknown = JSON.parse(text)
  if (typeof value === 'object' && !Array.isArray(value)) return undefined
  const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
  return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`
}

const textOf = (base64: string): string => new TextDecoder().decode(fromBase64(base64))

/** What a server could not make of a certificate and its key: as far as their blocks tell, without reading what is in them. */
function pairWarning({ data }: Secret): string | undefined {
  const typesOf = (key: string): readonly string[] => pemBlocks(textOf(data?.[key] ?? '')).map(({ type }) => type)
  const [certificates, keys] = [typesOf('tls.crt'), typesOf('tls.key')]
  const skipped = (types: readonly string[]): string => `input after skipping PEM blocks of the following types: [${types.join(' ')}]`
  if (certificates.length === 0) return 'tls: failed to find any PEM data in certificate input'
  if (!certificates.includes('CERTIFICATE')) {
    const isKey = certificates.length === 1 && certificates[0]?.endsWith('PRIVATE KEY')
    return isKey
      ? 'tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched'
      : `tls: failed to find "CERTIFICATE" PEM block in certificate ${skipped(certificates)}`
  }
  if (keys.length === 0) return 'tls: failed to find any PEM data in key input'
  if (keys.some((type) => type.endsWith('PRIVATE KEY'))) return undefined
  return keys.length === 1 && keys[0] === 'CERTIFICATE'
    ? 'tls: found a certificate rather than a key in the PEM for the private key'
    : `tls: failed to find PEM block with type ending in "PRIVATE KEY" in key ${skipped(keys)}`
}

const warnings = (secret: Secret): readonly string[] => {
  const told = secret.type === 'kubernetes.io/tls' ? pairWarning(secret) : undefined
  return told === undefined ? [] : [told]
}

function validateType(errors: FieldErrors, secret: Secret): void {
  const data = secret.data ?? {}
  const need = (key: string): void => {
    if (data[key] === undefined) errors.push(required(`data[${key}]`))
  }
  const needJson = (key: string): void => {
    const value = data[key]
    const fault = value === undefined ? undefined : jsonObjectFault(value)
    if (value === undefined) errors.push(required(`data[${key}]`))
    else if (fault !== undefined) errors.push(invalid(`data[${key}]`, REDACTED, fault))
  }
  switch (secret.type) {
    case 'kubernetes.io/service-account-token':
      if (!secret.metadata?.annotations?.[ACCOUNT_NAME]) errors.push(required(`metadata.annotations[${ACCOUNT_NAME}]`))
      break
    case 'kubernetes.io/dockercfg':
      needJson('.dockercfg')
      break
    case 'kubernetes.io/dockerconfigjson':
      needJson('.dockerconfigjson')
      break
    case 'kubernetes.io/basic-auth':
      if (data['username'] === undefined && data['password'] === undefined)
        errors.push(required('data[username]'), required('data[password]'))
      break
    case 'kubernetes.io/ssh-auth':
      if (base64Length(data['ssh-privatekey'] ?? '') === 0) errors.push(required('data[ssh-privatekey]'))
      break
    case 'kubernetes.io/tls':
      need('tls.crt')
      need('tls.key')
      break
    default:
  }
}

/** stringData is how people write data: it goes into data, encoded, and is never shown. */
function mergeStringData(secret: Secret): Secret {
  if (!secret.stringData) return secret
  const data: Record<string, string> = { ...secret.data }
  for (const key in secret.stringData) data[key] = toBase64(secret.stringData[key] ?? '')
  return { ...withField(secret, 'stringData', undefined), data }
}

function toBase64(value: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(value)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

export const secrets = defineResource({
  group: '',
  version: 'v1',
  kind: 'Secret',
  hasGeneration: false,
  columns: nameToAge(
    text('Type', (secret: Secret) => secret.type ?? ''),
    { ...integer('Data', (secret: Secret) => Object.keys(secret.data ?? {}).length), type: 'string' },
  ),
  fieldSelectors: { type: (secret) => secret.type ?? '' },
  setDefaults: (secret) => withDefaults(mergeStringData(secret), { type: 'Opaque' }),
  prepareForUpdate: (next, old) => (next.type ? next : withField(next, 'type', old.type)),
  warnings,
  validate(secret) {
    const errors: FieldErrors = []
    checkSize(errors, 'data', validateKeys(errors, 'data', secret.data, true))
    validateType(errors, secret)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'type', next.type, old.type)
    checkNotImmutable(errors, next, old, ['data'])
    return errors
  },
})
