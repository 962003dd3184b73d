import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cleanPath, LinkRewriter, rewriteLink } from './proxy-links.ts'
import { isGlobalUnicast, parseId } from './proxy-target.ts'

const base = { prefix: '/p/proxy', targetHost: '10.0.0.1:80', requestHost: 'api:6443' }

test('absolute paths of the program get the proxy in front, all else stays', () => {
  for (const [link, expected] of [
    ['/a', '/p/proxy/a'],
    ['/a/?q=/b#c', '/p/proxy/a/?q=/b#c'],
    ['http://10.0.0.1:80/a', '/p/proxy/a'],
    ['https://api:6443/a', 'https://api:6443/p/proxy/a'],
    ['/p/proxy/a', '/p/proxy/a'],
    ['//10.0.0.1:80/a', '/p/proxy/a'],
    ['http://example.org/a', 'http://example.org/a'],
    ['a/b', 'a/b'],
    ['#top', '#top'],
    ['mailto:a@b', 'mailto:a@b'],
    ['/../../etc', '/etc'],
  ] as const)
    assert.equal(rewriteLink(link, base), expected, link)
  assert.equal(cleanPath('/a//b/./c/../d/'), '/a/b/d/')
})

test('HTML is rewritten in the same way, wherever it is cut', () => {
  const html =
    '<!-- <a href="/no"> --><A class=x Href = "/a?b&amp;c">1 < 2</A><img src=/i alt="/no"><form action=\'/f\'>' +
    '<script src="/s">if (a<b) "<a href=\'/no\'>"</script><p title="/no > x"><a href="rel">é</a><a hre'
  const expected =
    '<!-- <a href="/no"> --><A class=x Href = "/p/proxy/a?b&amp;c">1 < 2</A><img src=/p/proxy/i alt="/no"><form action=\'/p/proxy/f\'>' +
    '<script src="/p/proxy/s">if (a<b) "<a href=\'/no\'>"</script><p title="/no > x"><a href="rel">é</a><a hre'
  for (const size of [1, 2, 3, 7, html.length]) {
    const rewriter = new LinkRewriter(base)
    let out = ''
    for (let i = 0; i < html.length; i += size) out += rewriter.push(html.slice(i, i + size))
    assert.equal(out + rewriter.end(), expected, `in pieces of ${size}`)
  }
})

test('a tag without an end is passed on, not kept', () => {
  const rewriter = new LinkRewriter(base)
  const endless = `<a title="${'x'.repeat(100_000)}`
  assert.equal(rewriter.push(endless), endless)
})

test('names of targets', () => {
  assert.deepEqual(parseId('pod', 'https:a:b'), { text: 'https:a:b', scheme: 'https', name: 'a', port: 'b' })
  assert.deepEqual(parseId('pod', 'a'), { text: 'a', scheme: '', name: 'a', port: '' })
  for (const text of ['', ':80', 'ftp:a:1', 'a:b:c:d']) assert.throws(() => parseId('pod', text), /invalid pod request/)
})

test('only addresses of one machine that is not this one', () => {
  for (const ip of ['10.0.0.1', '192.168.1.1', '8.8.8.8', 'fd00::1', '2001:db8::1', '::ffff:10.0.0.1']) assert.ok(isGlobalUnicast(ip), ip)
  for (const ip of [
    '127.0.0.1',
    '0.0.0.0',
    '255.255.255.255',
    '169.254.169.254',
    '224.0.0.1',
    '::1',
    '::',
    'fe80::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '',
    'a',
  ])
    assert.ok(!isGlobalUnicast(ip), ip)
})
