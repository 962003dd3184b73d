/** Secrets: data that few may see, so no message repeats any of it. */
import type { Secret } from '../../../api/generated/core/v1.ts'
import { defineResource } from '../../resource.ts'
import { integer, nameToAge, text } from '../columns.ts'
import { withDefaults, withField } from '../immutable.ts'
import { checkImmutable, invalid, required, type FieldErrors } from '../rules.ts'
import { base64Length, checkNotImmutable, checkSize, validateKeys } from './config-data.ts'

const ACCOUNT_NAME = 'kubernetes.io/service-account.name'
const REDACTED = '<secret contents redacted>'

/** Whether base64 text holds a JSON object; the platform's atob gives its bytes as characters, which JSON needs no better. */
function isJsonObject(base64: string): boolean {
  try {
    const value: unknown = JSON.parse(atob(base64))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    // Not base64 or not JSON: either way no object.
    return false
  }
}

function validateType(errors: FieldErrors, secret: Secret): void {
  const data = secret.data ?? {}
  const need = (key: string): void => {
    if (data[key] === undefined) errors.push(required(`data[${key}]`))
  }
  const needJson = (key: string): void => {
    const value = data[key]
    if (value === undefined) errors.push(required(`data[${key}]`))
    else if (!isJsonObject(value)) errors.push(invalid(`data[${key}]`, REDACTED, 'invalid character in JSON object'))
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
