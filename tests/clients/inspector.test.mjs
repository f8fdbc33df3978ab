// MCP Inspector's command line: `initialize`, and the stateless revision.
import { inspectorDriver } from './lib/inspector.mjs';
import { clientSuite } from './lib/suite.mjs';

clientSuite('MCP Inspector', inspectorDriver(), { racers: 3 });
clientSuite('MCP Inspector, modern', inspectorDriver({ era: 'modern' }), { racers: 3, crashes: false });
