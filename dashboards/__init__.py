"""Grafana dashboards as code, Prometheus rules and alerts, and what checks them; metrics come from the one table."""
