import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routesOf } from './pod-network.ts'

test("a cluster's routes: within its range, and not over another cluster's links", () => {
  const text = [
    '10.244.1.0/24 via 172.30.7.2 dev pn-aaaa1111 ',
    '10.244.2.0/24 via 172.30.9.2 dev pn-bbbb2222 ',
    '10.244.3.0/24 via 10.244.3.0 dev pv-bbbb2222 onlink ',
    '10.244.4.0/24 via 192.0.2.7 dev eth0 ',
    '10.99.1.0/24 via 192.0.2.8 dev eth0 ',
    '',
  ].join('\n')
  assert.deepEqual(routesOf(text, '10.244.0.0/16', 'proa-aaaa1111'), ['10.244.1.0/24', '10.244.4.0/24'])
})
