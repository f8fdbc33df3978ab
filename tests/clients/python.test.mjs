// The official Python SDK, 2.x; it finds out by itself which revision the server speaks.
import { PythonDriver, SHORT_LIFE } from './lib/python.mjs';
import { clientSuite } from './lib/suite.mjs';

clientSuite('Python SDK 2', PythonDriver, { settings: SHORT_LIFE, speaks: '2026-07-28' });
