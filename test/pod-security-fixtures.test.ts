/** All pods that upstream publishes for the Pod Security Standards (k8s.io/pod-security-admission/test/testdata), where they are on disk. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseYaml } from '../src/api/yaml.ts'
import type { Pod } from '../src/api/generated/core/v1.ts'
import { evaluate, type Level } from '../src/server/admission/pod-security/policy.ts'

const directory = join(process.env['GOMODCACHE'] ?? join(homedir(), 'go/pkg/mod'), 'k8s.io/pod-security-admission@v0.36.3/test/testdata')

test(
  'pods that upstream publishes as good and bad are judged so, at every level and version',
  { skip: existsSync(directory) ? false : 'the Go module k8s.io/pod-security-admission@v0.36.3 is not on this machine' },
  () => {
    // Most versions publish the same pods.
    const parsed = new Map<string, Pod>()
    let count = 0
    for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      const [level, version, verdict] = path.split('/')
      if (!path.endsWith('.yaml')) continue
      const text = readFileSync(join(directory, path), 'utf8')
      const pod = parsed.get(text) ?? (parseYaml(text).value as Pod)
      parsed.set(text, pod)
      // A volume without a source is an emptyDir by default.
      const volumes = pod.spec!.volumes?.map((volume) => (Object.keys(volume).length === 1 ? { ...volume, emptyDir: {} } : volume))
      const spec = { ...pod.spec!, ...(volumes ? { volumes } : {}) }
      const refusals = evaluate({ level: level as Level, version: version! }, { metadata: pod.metadata ?? {}, spec })
      assert.equal(refusals.length === 0, verdict === 'pass', `${path}: ${JSON.stringify(refusals)}`)
      count++
    }
    assert.ok(count > 4000, `${count} pods`)
  },
)
