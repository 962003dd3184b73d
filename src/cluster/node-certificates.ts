/** A node's certificates, each with its key in one file: the node renews them by the certificates API, without a restart. */
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import { keepCertificate, type KubeletSigner } from '../node/certificate-rotation.ts'
import { createCertificateRequest, type CertificateRequest, type KeyPair } from './certificates.ts'
import type { Lifecycle } from './lifecycle.ts'
import { readPemFile, writePemFile } from './pki.ts'

export interface PemFile {
  readonly path: string
  readonly signerName: KubeletSigner
  readonly request: CertificateRequest
  /** Of the pair that has been written. */
  use(pair: KeyPair): void
}

export function keepPemFile(runtime: Runtime, lifecycle: Lifecycle, client: Client, { path, signerName, request, use }: PemFile): void {
  lifecycle.start({
    name: `certificate ${signerName}`,
    run: (signal) =>
      keepCertificate(
        runtime,
        client,
        {
          signerName,
          current: () => readPemFile(path)?.cert ?? '',
          newRequest: () => createCertificateRequest(request),
          install(pair) {
            writePemFile(path, pair)
            use(pair)
          },
        },
        signal,
      ),
  })
}
