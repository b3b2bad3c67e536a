"""Payment providers, and the register of VAT numbers, on a loopback port, speaking their documented wire protocol.

The real adapters and the real SDKs talk to them over real sockets, so that a
panel can be tested with every outcome a provider may have, and every fault.
"""
