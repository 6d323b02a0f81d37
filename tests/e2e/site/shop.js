// A visitor: gives events to the SDK that the page has loaded as `analytics`, and tells the page's server which.
const user = document.documentElement.dataset.user
const burst = Number(document.documentElement.dataset.burst)
const visit = new URLSearchParams(location.search).get('visit')
const properties = {
  label: "Zoë's 鞋 👟", price: 12.5, quantity: 3, none: null, tags: ['a', { deep: [1] }], text: 'x'.repeat(200)
}

const give = {
  page: event => analytics.page(event.category, event.name, event.properties),
  track: event => analytics.track(event.event, event.properties),
  identify: event => analytics.identify(event.userId, event.traits),
  group: event => analytics.group(event.groupId, event.traits),
  alias: event => analytics.alias(event.userId, event.previousId)
}

const track = (event, n) => ({ type: 'track', event, properties: { ...properties, n } })

const visits = {
  first: () => [
    { type: 'page', name: 'Jacket', category: 'Shop', properties },
    track('Product Viewed', 'anonymous'),
    { type: 'identify', userId: user, traits: { email: `${user}@example.com`, ...properties } },
    { type: 'group', groupId: 'group-1', traits: { plan: 'pro' } },
    { type: 'alias', userId: user, previousId: `${user}-before` },
    ...Array.from({ length: burst }, (_, n) => track('Product Viewed', n))
  ],
  second: () => [track('Came Back', 'second')]
}

const tell = what => fetch('/happened', { method: 'POST', body: JSON.stringify(what) })

async function stay () {
  const events = visits[visit]()
  for (const event of events) give[event.type](event)
  await tell({ given: events })
  await fetch('/wait')
  const last = track('Left', `left-${visit}`)
  await tell({ given: [last] })
  addEventListener('beforeunload', () => give.track(last))
  close()
}

for (const wrong of ['error', 'unhandledrejection', 'securitypolicyviolation']) {
  addEventListener(wrong, event => tell({ wrong, what: String(event.message || event.reason || event.blockedURI) }))
}
stay()
