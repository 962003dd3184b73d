/**
 * Fills Secrets of the type kubernetes.io/service-account-token, by which programs outside the cluster get a token that does not
 * end: its account is named by an annotation, and it counts as long as the Secret and the account are there.
 */
import type { Secret, ServiceAccount } from '../../api/generated/core/v1.ts'
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { watch } from '../controller.ts'
import type { Controller, ReconcileContext } from '../controller.ts'

const SECRET = 'v1/Secret'
const ACCOUNT = 'v1/ServiceAccount'
const TYPE = 'kubernetes.io/service-account-token'
const NAME = 'kubernetes.io/service-account.name'
const UID = 'kubernetes.io/service-account.uid'
const ACCOUNT_INDEX = 'service-account'
/** Before the key of a Secret that is gone, followed by its account: names never hold a colon. */
const GONE_PREFIX = 'gone:'

/** What a token of this kind is issued for (upstream's legacy claims). */
export interface LegacyTokenSubject {
  readonly namespace: string
  readonly secretName: string
  readonly accountName: string
  readonly accountUid: string
}

export interface ServiceAccountTokenOptions {
  readonly rootCa: string
  readonly issue: (subject: LegacyTokenSubject) => string
}

/** "namespace/name" of the account that a Secret is for. */
function accountOf({ type, metadata }: Secret): string | undefined {
  const name = type === TYPE ? metadata?.annotations?.[NAME] : undefined
  return name ? `${metadata!.namespace}/${name}` : undefined
}

const isMeant = (account: ServiceAccount | undefined, secret: Secret): account is ServiceAccount => {
  const uid = secret.metadata?.annotations?.[UID]
  return account !== undefined && (!uid || uid === account.metadata?.uid)
}

function keysOfSecret(type: 'added' | 'updated' | 'deleted', secret: Secret): string | undefined {
  const account = accountOf(secret)
  if (account === undefined) return undefined
  return type === 'deleted' ? `${GONE_PREFIX}${keyOf(secret)}:${account}` : keyOf(secret)
}

export const createServiceAccountTokenController = (options: ServiceAccountTokenOptions): Controller => ({
  name: 'serviceaccount-token',
  component: 'tokens-controller',
  runsAsManager: true,
  reads: [SECRET, ACCOUNT],
  writes: [SECRET, ACCOUNT],
  watches: [
    watch(SECRET, ({ type, object }) => keysOfSecret(type, object), { [ACCOUNT_INDEX]: accountOf }),
    watch(ACCOUNT, ({ type, object }, caches) =>
      type === 'updated' ? undefined : caches.of(SECRET).byIndex(ACCOUNT_INDEX, keyOf(object)).map(keyOf),
    ),
  ],

  async reconcile(key, context) {
    if (key.startsWith(GONE_PREFIX)) {
      const [, secretKey = '', accountKey = ''] = key.split(':')
      return removeReference(context, accountKey, parseKey(secretKey).name)
    }
    const secret = context.caches.of(SECRET).get(key)
    const accountKey = secret && accountOf(secret)
    if (!secret || accountKey === undefined || secret.metadata?.deletionTimestamp) return
    const account = await findAccount(context, accountKey, secret)
    if (account) await fill(context, options, secret, account)
    else await remove(context, secret)
  },
})

async function findAccount({ client, caches }: ReconcileContext, key: string, secret: Secret): Promise<ServiceAccount | undefined> {
  const cached = caches.of(ACCOUNT).get(key)
  if (isMeant(cached, secret)) return cached
  try {
    // A Secret is only deleted for an account that is surely not there.
    const live = await client.get(ACCOUNT, parseKey(key))
    return isMeant(live, secret) ? live : undefined
  } catch (error) {
    if (isApiError(error, 'NotFound')) return undefined
    throw error
  }
}

async function remove({ client }: ReconcileContext, secret: Secret): Promise<void> {
  try {
    await client.delete(SECRET, parseKey(keyOf(secret)), { preconditions: { uid: secret.metadata!.uid! } })
  } catch (error) {
    if (!isApiError(error, 'NotFound', 'Conflict')) throw error
  }
}

const base64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text)))

/** Adds what the Secret lacks; what is in it already stays. */
async function fill(
  { client }: ReconcileContext,
  { rootCa, issue }: ServiceAccountTokenOptions,
  secret: Secret,
  account: ServiceAccount,
): Promise<void> {
  const { namespace, name: secretName, annotations } = secret.metadata!
  const { name: accountName, uid: accountUid } = account.metadata!
  const data = secret.data ?? {}
  const ca = rootCa === '' ? data['ca.crt'] : base64(rootCa)
  if (data['ca.crt'] === ca && data['namespace'] && data['token']) return
  const subject = { namespace: namespace!, secretName: secretName!, accountName: accountName!, accountUid: accountUid! }
  await client.update(SECRET, {
    ...secret,
    metadata: { ...secret.metadata, annotations: { ...annotations, [NAME]: accountName!, [UID]: accountUid! } },
    data: {
      ...data,
      ...(ca === undefined ? {} : { 'ca.crt': ca }),
      namespace: data['namespace'] || base64(namespace!),
      token: data['token'] || base64(issue(subject)),
    },
  })
}

/** Accounts name the Secrets that were once made for them. */
async function removeReference({ client, caches }: ReconcileContext, accountKey: string, secretName: string): Promise<void> {
  const account = caches.of(ACCOUNT).get(accountKey)
  if (!account?.secrets?.some(({ name }) => name === secretName)) return
  await client.update(ACCOUNT, { ...account, secrets: account.secrets.filter(({ name }) => name !== secretName) })
}
