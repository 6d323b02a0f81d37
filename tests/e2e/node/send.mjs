// Gives events to one SDK and prints what was given, one JSON object a line: node send.mjs segment|rudder URL KEY
import { Analytics } from '@segment/analytics-node'
import rudder from '@rudderstack/rudder-sdk-node'

const [sdk, url, writeKey] = process.argv.slice(2)
const properties = {
  name: "Zoë's 鞋 👟", price: 12.5, quantity: 3, none: null, tags: ['a', { deep: [[1]] }], text: 'x'.repeat(1000)
}
const context = { ip: '1.2.3.4', campaign: { name: 'spring' } }
const timestamp = new Date('2024-05-01T12:30:00Z')
const integrations = { All: false, webhook: true }

function events () {
  const userId = `${sdk}-u`
  const calls = [
    ['identify', { userId, traits: { email: 'zoe@example.com', ...properties }, context, timestamp, integrations }],
    ['page', { userId, name: 'Home', category: 'Shop', properties }],
    ['screen', { anonymousId: `${sdk}-a`, name: 'Home', properties }],
    ['group', { userId, groupId: 'group-1', traits: { plan: 'pro' } }],
    ['alias', { userId, previousId: `${sdk}-a` }]
  ]
  for (let n = 0; n < 200; n++) {
    calls.push(['track', { userId: `${sdk}-${n % 20}`, event: 'Product Viewed', properties: { ...properties, n }, context, timestamp }])
  }
  return calls
}

async function segment (calls) {
  const client = new Analytics({ writeKey, host: url, flushAt: 15 })
  client.on('error', (error) => { console.error(error); process.exitCode = 1 })
  for (const [type, event] of calls) client[type](event)
  await client.closeAndFlush({ timeout: 20_000 })
}

async function rudderstack (calls) {
  const Client = rudder.default ?? rudder
  const client = new Client(writeKey, { dataPlaneUrl: url, flushAt: 20, logLevel: 'error' })
  const sent = calls.map(([type, event]) => new Promise((resolve, reject) => {
    client[type](event, (error) => error ? reject(error) : resolve())
  }))
  await client.flush()
  await Promise.all(sent)
}

const calls = events()
for (const [type, event] of calls) console.log(JSON.stringify({ type, ...event }))
await (sdk === 'segment' ? segment : rudderstack)(calls)
process.exit()
