import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { createVirtualClock } from '../simulation/virtual-clock.ts'
import { createCredentialPlugins, parseProviders } from './credential-plugins.ts'
import { matchesImage } from './credentials.ts'

test('patterns of images', () => {
  for (const [pattern, repository, fits] of [
    ['example.com', 'example.com/a/b', true],
    ['*.example.com', 'eu.example.com/a', true],
    ['*.example.com', 'example.com/a', false],
    ['*.*.example.com', 'a.b.example.com/c', true],
    ['r*.example.com', 'registry.example.com/a', true],
    ['example.com:5000', 'example.com/a', false],
    ['example.com:5000/team', 'example.com:5000/team/a', true],
    ['example.com/team', 'example.com/teams/a', false],
    ['https://index.docker.io/v1/', 'docker.io/library/nginx', true],
  ] as const)
    assert.equal(matchesImage(pattern, repository), fits, `${pattern} ${repository}`)
})

const configuration = `
kind: CredentialProviderConfig
apiVersion: kubelet.config.k8s.io/v1
providers:
- name: cloud
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["*.example.com"]
  defaultCacheDuration: 1m
  args: [get]
  env: [{ name: REGION, value: eu }]
`

test('a program is asked for what it matches, and its answer is kept as long as it says', async () => {
  const clock = createVirtualClock()
  const asked: unknown[] = []
  let cacheKeyType = 'Registry'
  const plugins = createCredentialPlugins(
    { clock, log: silentLog },
    {
      async runProgram(path, args, { env, input }) {
        asked.push([path, args, env, JSON.parse(input)])
        const auth = { '*.example.com': { username: 'all', password: 'p' }, 'a.example.com/team': { username: 'team', password: 'q' } }
        return JSON.stringify({
          kind: 'CredentialProviderResponse',
          apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
          cacheKeyType,
          auth,
        })
      },
    },
    { configuration, binDirectory: '/bin' },
  )
  const names = async (repository: string) => (await plugins.credentialsFor(repository)).map(({ username }) => username)
  assert.deepEqual(await names('docker.io/library/x'), [])
  assert.deepEqual(await names('a.example.com/team/x'), ['team', 'all'])
  assert.deepEqual(await names('a.example.com/other'), ['all'])
  const request = { kind: 'CredentialProviderRequest', apiVersion: 'credentialprovider.kubelet.k8s.io/v1', image: 'a.example.com/team/x' }
  assert.deepEqual(asked, [['/bin/cloud', ['get'], { REGION: 'eu' }, request]])
  await clock.advance(60_000)
  cacheKeyType = 'Image'
  await names('a.example.com/other')
  await names('a.example.com/another')
  assert.equal(asked.length, 3)
})

test('a program that fails gives nothing', async () => {
  const runProgram = async () => Promise.reject(new Error('exit code 1'))
  const plugins = createCredentialPlugins(
    { clock: createVirtualClock(), log: silentLog },
    { runProgram },
    { configuration, binDirectory: '/bin' },
  )
  assert.deepEqual(await plugins.credentialsFor('a.example.com/x'), [])
})

test('configurations that are none', () => {
  for (const [from, to, message] of [
    ['CredentialProviderConfig', 'Config', /no CredentialProviderConfig/],
    ['name: cloud', 'name: ../cloud', /is no name of a program/],
    ['matchImages: ["*.example.com"]', 'matchImages: []', /matchImages is required/],
    ['defaultCacheDuration: 1m', 'defaultCacheDuration: soon', /invalid duration/],
    ['credentialprovider.kubelet.k8s.io/v1', 'v1', /Unsupported value/],
  ] as const)
    assert.throws(() => parseProviders(configuration.replace(from, to)), message)
})
