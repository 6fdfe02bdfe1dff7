"""The web page: Streamlit and Plotly over the HTTP API alone. It holds no state but that of a visit."""
