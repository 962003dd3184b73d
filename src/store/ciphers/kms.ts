/**
 * Encryption by a key service outside (KMS v2, KEP-3299) over gRPC on a Unix socket. Values are encrypted here, each with a key of its
 * own that is derived from a seed; the service encrypts the seed, and the encrypted seed lies beside each value. So the service is
 * asked once a seed, and never sees a value.
 */
import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import type * as Grpc from '@grpc/grpc-js'
import type { KmsConfiguration } from '../encryption-rules.ts'
import { openGcm, sealGcm } from './keyed.ts'
import { readMessage, writeMessage, type Message } from './messages.ts'
import { hasPrefix, type Provider } from './provider.ts'

export interface KmsProvider extends Provider {
  close(): void
}

const SEED_BYTES = 32
const INFO_BYTES = 32
/** Type of the encrypted key source: a seed for HKDF-SHA256, whose keys are for AES-GCM. */
const SEED = 1
/** Decrypted seeds that are remembered. */
const MAX_SEEDS = 1000
/** How often the service is asked which key it uses. */
const STATUS_PERIOD_MS = 60_000
const SERVICE = '/v2.KeyManagementService/'

interface Envelope {
  readonly keyId: string
  readonly encryptedSeed: Uint8Array
  readonly annotations: readonly Uint8Array[]
}

interface Sealing extends Envelope {
  readonly seed: Uint8Array
}

/** Rejects when the service does not answer or is not healthy. */
export async function createKms(configuration: KmsConfiguration): Promise<KmsProvider> {
  const service = await connect(configuration)
  try {
    return new Kms(configuration.name, service, await newSeed(service))
  } catch (error) {
    service.close()
    throw new Error(`the KMS provider ${JSON.stringify(configuration.name)} cannot be used: ${messageOf(error)}`, { cause: error })
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

class Kms implements KmsProvider {
  readonly prefix: string
  readonly #service: Service
  readonly #mark: Buffer
  readonly #seeds = new Map<string, Uint8Array>()
  readonly #timer: NodeJS.Timeout
  #sealing: Sealing

  constructor(name: string, service: Service, sealing: Sealing) {
    this.prefix = `k8s:enc:kms:v2:${name}:`
    this.#mark = Buffer.from(this.prefix)
    this.#service = service
    this.#sealing = sealing
    this.#remember(sealing, sealing.seed)
    this.#timer = setInterval(() => void this.#follow(), STATUS_PERIOD_MS)
    this.#timer.unref()
  }

  encrypt(key: string, value: Uint8Array): Uint8Array {
    const { seed, keyId, encryptedSeed, annotations } = this.#sealing
    const info = randomBytes(INFO_BYTES)
    const data = Buffer.concat([info, sealGcm(derive(seed, info), Buffer.from(key), value)])
    const message = writeMessage([
      [1, data],
      [2, Buffer.from(keyId)],
      [3, encryptedSeed],
      ...annotations.map((one) => [4, one] as const),
      [5, SEED],
    ])
    return Buffer.concat([this.#mark, message])
  }

  decrypt(key: string, value: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const { data, envelope } = this.#read(value)
    const known = this.#seeds.get(nameOf(envelope))
    if (known) return open(known, key, data)
    return this.#service.decrypt(envelope).then((seed) => {
      this.#remember(envelope, seed)
      return open(seed, key, data)
    })
  }

  isCurrent(value: Uint8Array): boolean {
    return hasPrefix(value, this.prefix) && this.#read(value).envelope.keyId === this.#sealing.keyId
  }

  #read(value: Uint8Array): { readonly data: Uint8Array; readonly envelope: Envelope } {
    const message = readMessage(value.subarray(this.#mark.length))
    const [data, keyId, encryptedSeed] = [bytesOf(message, 1), bytesOf(message, 2), bytesOf(message, 3)]
    if (!data || !keyId || !encryptedSeed || message.get(5)?.[0] !== SEED) throw new Error('the stored data is no envelope of KMS v2')
    return { data, envelope: { keyId: Buffer.from(keyId).toString(), encryptedSeed, annotations: manyOf(message, 4) } }
  }

  #remember(envelope: Envelope, seed: Uint8Array): void {
    if (this.#seeds.size >= MAX_SEEDS) this.#seeds.delete(this.#seeds.keys().next().value!)
    this.#seeds.set(nameOf(envelope), seed)
  }

  /** The service may change its key: then what is written from now on is under the new one. While it is silent the old one serves. */
  async #follow(): Promise<void> {
    try {
      const keyId = await this.#service.status()
      if (keyId === this.#sealing.keyId) return
      this.#sealing = await newSeed(this.#service)
      this.#remember(this.#sealing, this.#sealing.seed)
    } catch (error) {
      process.emitWarning(`the KMS provider does not answer: ${messageOf(error)}`)
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#service.close()
  }
}

const nameOf = ({ keyId, encryptedSeed }: Envelope): string => `${keyId} ${Buffer.from(encryptedSeed).toString('base64')}`

/** HKDF's second step alone: the seed is random already. */
const derive = (seed: Uint8Array, info: Uint8Array): Buffer => createHmac('sha256', seed).update(info).update(Buffer.of(1)).digest()

function open(seed: Uint8Array, key: string, data: Uint8Array): Buffer {
  if (data.length < INFO_BYTES) throw new Error('the stored data was shorter than the required size')
  return openGcm(derive(seed, data.subarray(0, INFO_BYTES)), Buffer.from(key), data.subarray(INFO_BYTES))
}

async function newSeed(service: Service): Promise<Sealing> {
  await service.status()
  const seed = randomBytes(SEED_BYTES)
  return { ...(await service.encrypt(seed)), seed }
}

interface Service {
  /** The id of the key that the service uses now. */
  status(): Promise<string>
  encrypt(plain: Uint8Array): Promise<Envelope>
  decrypt(envelope: Envelope): Promise<Uint8Array>
  close(): void
}

async function connect({ endpoint, timeoutMs }: KmsConfiguration): Promise<Service> {
  const grpc: typeof Grpc = await import('@grpc/grpc-js')
  const client = new grpc.Client(endpoint.replace(/^unix:\/\/\/?/, 'unix:/'), grpc.credentials.createInsecure())
  const call = (method: string, request: Uint8Array): Promise<Message> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        SERVICE + method,
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes: Buffer) => readMessage(bytes),
        request,
        { deadline: Date.now() + timeoutMs },
        (error, answer) => (answer ? resolve(answer) : reject(new Error(error?.details || error?.message || 'no answer'))),
      )
    })
  return {
    async status() {
      const answer = await call('Status', new Uint8Array())
      const [version, health, keyId] = [1, 2, 3].map((field) => Buffer.from(bytesOf(answer, field) ?? []).toString())
      if (version !== 'v2' && version !== 'v2beta1') throw new Error(`expected KMSv2 API version v2, got ${version}`)
      if (health !== 'ok') throw new Error(`expected KMSv2 healthz status "ok", got ${JSON.stringify(health)}`)
      if (!keyId) throw new Error('expected KMSv2 KeyID to be set, got ""')
      return keyId
    },
    async encrypt(plain) {
      const answer = await call(
        'Encrypt',
        writeMessage([
          [1, plain],
          [2, Buffer.from(randomUUID())],
        ]),
      )
      const [encryptedSeed, keyId] = [bytesOf(answer, 1), bytesOf(answer, 2)]
      if (!encryptedSeed?.length || !keyId?.length) throw new Error('the service encrypted to nothing')
      return { encryptedSeed, keyId: Buffer.from(keyId).toString(), annotations: manyOf(answer, 3) }
    },
    async decrypt({ encryptedSeed, keyId, annotations }) {
      const fields = [
        [1, encryptedSeed],
        [2, Buffer.from(randomUUID())],
        [3, Buffer.from(keyId)],
        ...annotations.map((one) => [4, one] as const),
      ] as const
      const plain = bytesOf(await call('Decrypt', writeMessage(fields)), 1)
      if (!plain) throw new Error('the service decrypted to nothing')
      return plain
    },
    close: () => client.close(),
  }
}

const bytesOf = (message: Message, field: number): Uint8Array | undefined => manyOf(message, field)[0]
const manyOf = (message: Message, field: number): readonly Uint8Array[] =>
  (message.get(field) ?? []).filter((value) => typeof value !== 'number')
