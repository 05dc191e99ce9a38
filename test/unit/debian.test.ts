import t from 'tap';
import { parseSources } from '../../scripts/debian.js';

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

t.test('one-line sources', (t) => {
  const text = `
# deb http://commented.example/debian trixie main
deb http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/own.gpg] https://own.example/debian bookworm main
`;
  t.same(parseSources(text, 'list'), [
    { mirror: 'http://mirror.example/debian', suites: ['bookworm'], signedBy: keyring },
    {
      mirror: 'https://own.example/debian',
      suites: ['bookworm'],
      signedBy: '/etc/apt/keyrings/own.gpg',
    },
  ]);
  t.end();
});

t.test('deb822 sources', (t) => {
  const text = `Types: deb deb-src
# a comment between fields
URIs: http://mirror.example/debian http://second.example/debian
Suites: trixie trixie-updates
Components: main
Signed-By: ${keyring}

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: trixie

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
`;
  t.same(parseSources(text, 'sources'), [
    {
      mirror: 'http://mirror.example/debian',
      suites: ['trixie', 'trixie-updates'],
      signedBy: keyring,
    },
  ]);
  t.end();
});
