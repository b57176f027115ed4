"""What the store is made of: tables, migrations, connections, claims, leases, journal of decisions."""
