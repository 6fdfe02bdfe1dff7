"""The experiments of five published programs, each as it was and as it should have been (docs/results)."""
