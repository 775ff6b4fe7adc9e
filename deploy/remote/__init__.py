"""Deployment over ssh: releases side by side on each host, a rolling restart, and the way back."""
