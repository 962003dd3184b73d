import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { createAuthority } from '../cluster/certificates.ts'
import { systemClock } from '../base/system.ts'
import { certificateValidity } from './certificate-validity.ts'

const element = (tag: number, ...content: readonly (readonly number[])[]): readonly number[] => [
  tag,
  content.flat().length,
  ...content.flat(),
]
const ascii = (text: string): readonly number[] => Array.from(text, (character) => character.charCodeAt(0))

function certificate(endTag: number, end: string, version: readonly number[] = element(0xa0, [2, 1, 2])): string {
  const validity = element(0x30, element(0x17, ascii('200101000000Z')), element(endTag, ascii(end)))
  const body = element(0x30, version, element(2, [1]), element(0x30), element(0x30), validity)
  const der = Uint8Array.from(element(0x30, body))
  return `-----BEGIN CERTIFICATE-----\n${der.toBase64()}\n-----END CERTIFICATE-----\n`
}

const certificateEndMs = (pem: string): number | undefined => certificateValidity(pem)?.endMs

test('when a certificate ends, in either form of time, or not told at all', async () => {
  assert.equal(certificateEndMs(certificate(0x17, '300102030405Z')), Date.parse('2030-01-02T03:04:05Z'))
  assert.equal(certificateEndMs(certificate(0x17, '500102030405Z')), Date.parse('1950-01-02T03:04:05Z'))
  assert.equal(certificateEndMs(certificate(0x18, '20600102030405Z')), Date.parse('2060-01-02T03:04:05Z'))
  assert.equal(certificateEndMs(certificate(0x17, '300102030405Z', [])), Date.parse('2030-01-02T03:04:05Z'))
  for (const wrong of ['', 'x', certificate(0x17, '301302030405Z'), certificate(0x04, '20600102030405Z'), certificate(0x17, 'soon')]) {
    assert.equal(certificateEndMs(wrong), undefined, wrong)
  }
  const made = await createAuthority(systemClock, 'a')
  const { validFrom, validTo } = new X509Certificate(made.cert)
  assert.deepEqual(certificateValidity(made.cert), { startMs: Date.parse(validFrom), endMs: Date.parse(validTo) })
})
